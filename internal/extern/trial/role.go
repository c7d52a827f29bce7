package trial

import (
	"context"
	"time"

	"kozo"
	"kozo/internal/extern/talk"
)

// For how long a role is watched after it has got its messages: longer if it
// answers heartbeats.
const (
	watchTime = time.Second
	beatTime  = 3500 * time.Millisecond
)

// role runs the program as a node would, and plays the node.
func (t *trial) role(ctx context.Context) {
	typ, err := t.set.RoleFile(t.Path)
	if err != nil {
		t.say(Wrong, "%v", err)
		return
	}
	values, ok := t.values(typ.Options, typ.FreeForm != "")
	if !ok {
		return
	}
	role, err := typ.New(values)
	if err != nil {
		t.say(Wrong, "with these options: %v", err)
		return
	}
	n := newNode()
	if i, ok := role.(kozo.Interested); ok {
		n.interest = i.Interest()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begin := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- role.Run(ctx, n.env()) }()
	if err := n.wait(ended, n.hello, talk.HelloTimeout+time.Second); err != nil {
		t.complaints(n)
		t.say(Wrong, "%v", err)
		return
	}
	interest := n.wants()
	t.say(OK, "says hello after %v, and wants %s", time.Since(begin).Round(time.Millisecond), words(interest))

	given := n.give(interest)
	pause := watchTime
	if n.beating() {
		pause = beatTime
	}
	if err := n.wait(ended, nil, pause); err != nil {
		t.complaints(n)
		if given > 0 {
			t.say(Wrong, "it was given %d messages with all sorts of content, and lines that it should ignore: %v", given, err)
		} else {
			t.say(Wrong, "it was given lines that it should ignore: %v", err)
		}
		return
	}
	stop := time.Now()
	cancel()
	<-ended
	t.stopped(time.Since(stop))
	t.complaints(n)
	t.account(n, given)
}

// stopped judges how long it took the program to end.
func (t *trial) stopped(took time.Duration) {
	switch {
	case took < talk.Polite:
		t.say(OK, "ends %v after its input", took.Round(time.Millisecond))
	case took < talk.Polite+talk.Firm:
		t.say(Note, "it does not end within %v after its input, but on SIGTERM; what it would say then is lost", talk.Polite)
	default:
		t.say(Wrong, "it ends neither with its input nor on SIGTERM, and has to be killed")
	}
}

// complaints are what the log of a node would say.
func (t *trial) complaints(n *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := map[string]bool{}
	for _, r := range n.log {
		text := r.message
		if r.text != "" {
			text += ": " + r.text
		}
		if seen[text] {
			continue
		}
		seen[text] = true
		if len(seen) > 20 {
			t.say(Note, "and more of the kind")
			return
		}
		switch {
		case r.message == "a line of the program is wrong":
			t.say(Wrong, "%s", text)
		case r.message == "the program prints":
			t.say(Note, "it prints a line that is no part of the conversation, which goes to the log: %s", r.text)
		case r.message == "the program notes":
		default:
			t.say(Note, "%s", text)
		}
	}
}

func (t *trial) account(n *node, given int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if given > 0 {
		left := n.lost[kozo.Cut] + uint64(len(n.queue))
		if left > 0 {
			t.say(Wrong, "%d of %d messages were not read, or not acknowledged as its hello promises", left, given)
		} else {
			t.say(OK, "takes %d messages with all sorts of content", given)
		}
	}
	if n.sent > 0 {
		t.say(OK, "sends messages: %d", n.sent)
	}
}
