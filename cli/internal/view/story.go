package view

import (
	"fmt"
	"strings"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/system"
)

// Explained is all that a configuration says about a link, for programs.
type Explained struct {
	Edge
	SelfToOthers string   `json:"selfToOthersConnectPolicy"` // of from
	OthersToSelf string   `json:"othersToSelfConnectPolicy"` // of to
	Wanted       []Wanted `json:"wanted"`
	Heartbeat    float64  `json:"heartbeat"`        // seconds
	Retry        float64  `json:"connectionRetry"`  // seconds
	QueueAge     float64  `json:"outgoingQueueAge"` // seconds
	QueueLength  int      `json:"outgoingQueueLength"`
	QueueSize    int64    `json:"outgoingQueueSize"`
}

// Wanted is what a role of the receiving node wants to have.
type Wanted struct {
	Role   string   `json:"role"`
	Filter string   `json:"filter"`
	From   []string `json:"from"` // roles of the sending node that may send it
}

// Explain describes a link at length.
func Explain(e system.Edge) Explained {
	s := e.From.Settings
	return Explained{
		Edge:         EdgeOf(e),
		SelfToOthers: e.From.SelfToOthers.String(), OthersToSelf: e.To.OthersToSelf.String(),
		Wanted:    wants(e.From, e.To),
		Heartbeat: s.Heartbeat.Seconds(), Retry: s.ConnectionRetry.Seconds(), QueueAge: s.QueueAge().Seconds(),
		QueueLength: s.OutgoingQueueLength, QueueSize: int64(s.OutgoingQueueSize),
	}
}

// wants returns what roles of one node want that roles of the other may send.
func wants(from, to *system.Node) []Wanted {
	found := []Wanted{}
	for _, r := range to.Roles {
		for _, f := range r.Wants() {
			if by := senders(from, f); len(by) > 0 {
				found = append(found, Wanted{Role: string(r.Name), Filter: f.String(), From: by})
			}
		}
	}
	return found
}

// senders returns the roles of a node that may send something that f wants. A
// person can send anything, in the name of the node itself.
func senders(n *system.Node, f kozo.Filter) []string {
	if f.Node != "" && f.Node != n.Name {
		return nil
	}
	var names []string
	for _, r := range n.Roles {
		if f.Role != "" && f.Role != r.Name {
			continue
		}
		may := !r.Declares || f.Kind == kozo.Log // any role may log
		for _, p := range r.Publishes {
			may = may || overlap(f, p)
		}
		if may {
			names = append(names, string(r.Name))
		}
	}
	if f.Role == "" || f.Role == kozo.NodeRole {
		names = append(names, string(kozo.NodeRole))
	}
	return names
}

// overlap says whether some message can match both filters, their senders aside.
func overlap(a, b kozo.Filter) bool {
	return (a.Kind == kozo.AnyKind || b.Kind == kozo.AnyKind || a.Kind == b.Kind) &&
		(a.Type == "" || b.Type == "" || a.Type == b.Type) &&
		(a.Channel == "" || b.Channel == "" || a.Channel == b.Channel)
}

// Story tells about a link in sentences.
func Story(style term.Style, e system.Edge) string {
	t := story{style: style}
	t.tell(e)
	return t.b.String()
}

type story struct {
	style term.Style
	b     strings.Builder
}

func (t *story) printf(format string, args ...any) { fmt.Fprintf(&t.b, format, args...) }

func (t *story) say(format string, args ...any) {
	for _, line := range term.Wrap(fmt.Sprintf(format, args...), 92) {
		t.printf("  %s\n", line)
	}
}

func (t *story) tell(e system.Edge) {
	from, to := string(e.From.Name), string(e.To.Name)
	t.printf("%s\n", t.style.Bold(from+" to "+to))
	t.policy(e, from, to)
	if e.Never == "" {
		t.ways(e, from, to)
	}
	t.messages(e, from, to)
	if e.Never == "" {
		t.limits(e, from, to)
	}
}

func (t *story) policy(e system.Edge, from, to string) {
	why := fmt.Sprintf("selfToOthersConnectPolicy of %s is %s, othersToSelfConnectPolicy of %s is %s",
		from, e.From.SelfToOthers, to, e.To.OthersToSelf)
	switch {
	case e.Policy == kozo.Never:
		t.say("There is no link, and what %s sends to %s never arrives: %s.", from, to, why)
	case e.Never != "":
		t.say("The link can never come up: %s. The policy would be %s: %s.", e.Never, e.Policy, why)
	case e.Policy == kozo.OnDemand:
		t.say("The link comes up when %s has a message for %s (policy ondemand: %s).", from, to, why)
	default:
		t.say("The link is kept up at all times (policy constant: %s).", why)
	}
}

func (t *story) ways(e system.Edge, from, to string) {
	if e.Rides {
		t.say("%s has nothing to dial at %s, so the link uses the connection that %s makes, while it is there.", from, to, to)
		return
	}
	t.say("%s dials, in this order:", from)
	for i, target := range e.Targets {
		with := ""
		if target.Local.Name != target.Remote.Name {
			with = fmt.Sprintf(" (the transport %s of %s)", target.Remote.Name, to)
		}
		t.printf("    %d. %s %s%s\n", i+1, target.Local.Name, target.Endpoint, with)
	}
}

func (t *story) messages(e system.Edge, from, to string) {
	list := wants(e.From, e.To)
	if len(list) == 0 {
		t.say("No role of %s wants anything from %s, so nothing is sent.", to, from)
		return
	}
	verb := "It carries:"
	if e.Never != "" {
		verb = "It would carry:"
	}
	t.say("%s", verb)
	for _, w := range list {
		by := strings.Join(w.From, ", ")
		by = strings.TrimSuffix(by, ", "+string(kozo.NodeRole))
		if by == string(kozo.NodeRole) {
			by = "nobody but a person with kozo send"
		}
		t.printf("    %s for %s, from %s\n", w.Filter, t.style.Bold(w.Role), by)
	}
}

func (t *story) limits(e system.Edge, from, to string) {
	s := e.From.Settings
	slowest := max(s.Heartbeat, e.To.Settings.Heartbeat)
	t.say("A heartbeat goes out every %s; a connection on which nothing has come back is given up within %s.",
		term.Span(s.Heartbeat), term.Span(3*slowest))
	t.say("After a disconnection %s tries again at once, then less and less often, and at least every %s.",
		from, term.Span(s.ConnectionRetry))
	t.say("Up to %s (%s) wait for %s; one that has waited for %s is dropped, and so is the oldest when there are more.",
		term.Count(s.OutgoingQueueLength, "message"), s.OutgoingQueueSize, to, term.Span(s.QueueAge()))
}
