package extern

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"kozo"
	"kozo/internal/extern/protocol"
	"kozo/internal/extern/talk"
)

// roleType makes a type of role of a program.
func (f *found) roleType() kozo.RoleType {
	return kozo.RoleType{
		Name: f.Program.Type, Doc: f.doc(), Options: f.Options, FreeForm: f.freeForm,
		NeedsStorage: f.NeedsStorage, LateInterest: !f.HasFilters,
		New: func(values kozo.Values) (kozo.Role, error) {
			r := &role{found: f, values: values}
			for _, filter := range append(r.Interest(), r.publishes()...) {
				if err := filter.Check(); err != nil {
					return nil, fmt.Errorf("a filter of this role: %w", err)
				}
			}
			if f.HasPublishes {
				return publisher{r}, nil
			}
			return r, nil
		},
	}
}

// doc is the description for people, with who wrote it.
func (f *found) doc() string {
	doc := f.Doc
	if doc == "" {
		doc = "A program: " + f.Path
	}
	var by []string
	if f.Version != "" {
		by = append(by, "version "+f.Version)
	}
	if f.Author != "" {
		by = append(by, "by "+f.Author)
	}
	if len(by) > 0 {
		doc = strings.TrimSuffix(doc, ".") + " (" + strings.Join(by, ", ") + ")."
	}
	return kozo.Printable(doc)
}

// role is one role that is a program. A new one is made for each run.
type role struct {
	*found
	values kozo.Values
}

var (
	_ kozo.Interested = (*role)(nil)
	_ kozo.Publisher  = publisher{}
)

// Interest returns the filters of the description.
func (r *role) Interest() []kozo.Filter { return protocol.Fill(r.Filters, r.values) }

func (r *role) publishes() []kozo.Filter { return protocol.Fill(r.Description.Publishes, r.values) }

// publisher is a role that says what it sends.
type publisher struct{ *role }

// Publishes returns the filters of the description.
func (p publisher) Publishes() []kozo.Filter { return p.publishes() }

// Run runs the program until ctx is done.
func (r *role) Run(ctx context.Context, env *kozo.Env) error {
	cmd, err := r.Command([]string{"KOZO_NODE=" + string(env.Self.Node), "KOZO_NAME=" + string(env.Self.Role)})
	if err != nil {
		return err
	}
	var raw json.RawMessage
	stores := !errors.Is(env.Storage.Load(&raw), kozo.ErrNoStorage)
	run := &roleRun{env: env}
	run.talk = talk.New(talk.Config{
		Program: cmd, Log: env.Log, Grease: r.grease,
		Hello: protocol.Hello{
			Op: "hello", Protocol: protocol.Version, Kind: protocol.KindRole, Mode: protocol.ModeRun,
			Node: env.Self.Node, Name: string(env.Self.Role), Type: r.Program.Type,
			Options: protocol.AppendOptions(nil, r.Options, r.values),
			Filters: r.Interest(), Storage: &stores, MaxLine: protocol.MaxLine,
		},
		Greet: run.greet, Hear: run.hear, Feed: run.feed, Ready: env.Inbox.Ready(),
	})
	result, err := run.talk.Run(ctx)
	run.account(result.Consumed)
	if run.finished && ctx.Err() == nil {
		return nil
	}
	return err
}

// roleRun is one run of a program that is a role.
type roleRun struct {
	env      *kozo.Env
	talk     *talk.Talk
	finished bool // it will not need to be run again

	mu     sync.Mutex
	window uint64
	sent   uint64  // messages
	acked  uint64  // with a window
	ends   []int64 // without one: where each message ends that may still be in the pipe
}

// pipeSize is more than a pipe holds.
const pipeSize = 1 << 20

// maxWindow is the largest window.
const maxWindow = 1 << 16

func (r *roleRun) greet(l *protocol.Line) error {
	if l.Window < 0 || l.Window > maxWindow {
		return fmt.Errorf(`"window" in its hello is %d; it is a number from 1 to %d`, l.Window, maxWindow)
	}
	r.mu.Lock()
	r.window = uint64(l.Window)
	r.mu.Unlock()
	filters, given, err := l.Wants()
	if err != nil {
		return fmt.Errorf("its hello is wrong: %w", err)
	}
	if given {
		r.env.SetInterest(filters)
	}
	return nil
}

// feed hands over messages of the inbox, as many as the program may have now.
func (r *roleRun) feed(b []byte, offset int64) []byte {
	const enough = 32 << 10
	for len(b) < enough {
		r.mu.Lock()
		full := r.window > 0 && r.sent-r.acked >= r.window
		r.mu.Unlock()
		if full {
			return b // ack wakes us
		}
		m, ok := r.env.Inbox.TryReceive()
		if !ok {
			return b
		}
		before := len(b)
		var err error
		if b, err = protocol.AppendMessage(b, &m); err != nil {
			b = b[:before]
			r.env.Lost(kozo.Undecodable, 1)
			continue
		}
		if len(b)-before > protocol.MaxLine {
			b = b[:before]
			r.env.Lost(kozo.Oversize, 1)
			r.talk.Note(slog.LevelWarn, fmt.Sprintf("a message %s from %s was dropped: its line has more than %d bytes", m.Type, m.From, protocol.MaxLine))
			continue
		}
		r.handed(offset + int64(len(b)))
	}
	return b
}

// handed notes that a message was handed over which ends there.
func (r *roleRun) handed(end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	if r.window > 0 {
		return
	}
	if len(r.ends) > 0 && len(r.ends) == cap(r.ends) { // before it grows
		i := 0
		for i < len(r.ends) && r.ends[i] < end-pipeSize {
			i++
		}
		r.ends = append(r.ends[:0], r.ends[i:]...)
	}
	r.ends = append(r.ends, end)
}

// account counts the messages that were handed over and not taken.
func (r *roleRun) account(consumed int64) {
	r.mu.Lock()
	lost := uint64(0)
	if r.window > 0 {
		lost = r.sent - r.acked
	}
	for _, end := range r.ends {
		if end > consumed {
			lost++
		}
	}
	r.mu.Unlock()
	r.env.Lost(kozo.Cut, lost)
}

// hear does what the program says.
func (r *roleRun) hear(l *protocol.Line) error {
	switch l.Op {
	case "event", "order", "log":
		m, err := l.Message()
		if err == nil {
			err = r.env.Send(m)
		}
		if err != nil {
			return err
		}
	case "ack":
		return r.ack(l.Count)
	case "interest":
		filters, given, err := l.Wants()
		if err != nil {
			return err
		}
		if !given {
			return errors.New(`"filters" is missing, a list of what it wants`)
		}
		r.env.SetInterest(filters)
	case "get":
		return r.get(l)
	case "set":
		if len(l.Value) == 0 {
			return errors.New(`"value" is missing`)
		}
		if err := r.env.Storage.Save(l.Value); err != nil {
			return err
		}
	case "counts":
		a := r.env.Account()
		r.talk.Say(protocol.Counts{
			Op: "counts", ID: l.ID, Offered: a.Offered, Taken: a.Taken, Queued: a.Queued,
			Dropped: a.Dropped, Sent: a.Sent,
		})
		return nil
	case "note":
		level, err := l.NoteLevel()
		if err != nil {
			return err
		}
		r.talk.Note(level, l.Text)
	case "print":
		return r.print(l)
	case "finish":
		r.finished = true
	case "done", "error": // answers to what we have not asked
		return nil
	default:
		return fmt.Errorf("this kozo does not know the op %q of a role", l.Op)
	}
	r.talk.Answer(l.ID, nil)
	return nil
}

func (r *roleRun) ack(count uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.window == 0:
		return errors.New(`its hello has no "window", so there is nothing to acknowledge`)
	case count > r.sent:
		return fmt.Errorf("it acknowledges %d messages, and was given %d", count, r.sent)
	}
	r.acked = max(r.acked, count)
	r.talk.Wake()
	return nil
}

func (r *roleRun) get(l *protocol.Line) error {
	var value json.RawMessage
	err := r.env.Storage.Load(&value)
	if errors.Is(err, kozo.ErrNoValue) {
		r.talk.Say(protocol.Value{Op: "value", ID: l.ID})
		return nil
	}
	if err != nil {
		return err
	}
	if len(value) > protocol.MaxLine-1024 {
		return fmt.Errorf("what is stored has %d bytes, and does not fit into a line", len(value))
	}
	r.talk.Say(protocol.Value{Op: "value", ID: l.ID, Found: true, Value: value})
	return nil
}

// print writes each line of the text on its own.
func (r *roleRun) print(l *protocol.Line) error {
	var text strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(l.Text, "\n"), "\n") {
		text.WriteString(kozo.Printable(line))
		text.WriteByte('\n')
	}
	if _, err := io.WriteString(r.env.Out, text.String()); err != nil {
		return err
	}
	r.talk.Answer(l.ID, nil)
	return nil
}
