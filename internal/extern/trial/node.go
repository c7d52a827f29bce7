package trial

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"kozo"
	"kozo/internal/extern/talk"
)

// node is what a node is to a role.
type node struct {
	ready chan struct{}
	hello chan struct{} // closed after the program's hello

	mu       sync.Mutex
	queue    []kozo.Message
	offered  uint64
	interest []kozo.Filter
	sent     uint64
	lost     map[kozo.Cause]uint64
	log      []record
	stored   json.RawMessage
	beat     time.Duration
}

// record is a line of the log.
type record struct{ message, text string }

func newNode() *node {
	return &node{ready: make(chan struct{}, 1), hello: make(chan struct{}), lost: map[kozo.Cause]uint64{}}
}

func (n *node) env() *kozo.Env {
	return &kozo.Env{
		Self: kozo.RoleRef{Node: "trial", Role: "trial"}, Inbox: inbox{n}, Send: n.send,
		SetInterest: n.setInterest, Storage: storage{n}, Out: io.Discard, Log: slog.New(handler{n}),
		Account: n.account, Lost: n.lose,
	}
}

// wait waits for something, or for a time if that is nil. The error is the one
// with which the role has ended before.
func (n *node) wait(ended <-chan error, what <-chan struct{}, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case err := <-ended:
		if err == nil {
			err = errors.New("its work is done, it says, before it was given any")
		}
		return err
	case <-what:
	case <-timer.C:
		if what != nil {
			return errors.New("nothing happens")
		}
	}
	return nil
}

func (n *node) wants() []kozo.Filter {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.interest)
}

func (n *node) beating() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.beat > 0
}

// maxFilters is for how many filters messages are made.
const maxFilters = 20

// give puts messages for the filters into the inbox, and returns their number.
func (n *node) give(filters []kozo.Filter) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	bodies := []any{
		nil, true, int64(-1), uint64(math.MaxUint64), 0.5, math.Inf(1), "", "tschüß \"\\\n\x00\u2028\U0001F514",
		[]byte{0, 255}, []any{nil, []any{}}, map[string]any{"$bytes": "x", "op": "stop"}, map[string]any{"$x": 1},
		strings.Repeat("long ", 20_000),
	}
	for _, f := range filters[:min(len(filters), maxFilters)] {
		for _, body := range bodies {
			packed, err := kozo.Pack(body)
			if err != nil {
				panic(err) // they are written above
			}
			n.offered++
			m := kozo.Message{
				Kind: f.Kind, Type: f.Type, Channel: f.Channel, Body: packed,
				From: kozo.RoleRef{Node: f.Node, Role: f.Role}, Time: time.Now(), Seq: n.offered,
			}
			if m.Kind == kozo.AnyKind {
				m.Kind = kozo.Event
			}
			for _, word := range []*string{&m.Type, (*string)(&m.From.Node), (*string)(&m.From.Role)} {
				if *word == "" {
					*word = "trial"
				}
			}
			n.queue = append(n.queue, m)
		}
	}
	n.wake()
	return len(n.queue)
}

func (n *node) wake() {
	select {
	case n.ready <- struct{}{}:
	default:
	}
}

func (n *node) send(m kozo.Message) error {
	if err := errors.Join(m.Check(), m.Body.Check()); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent++
	return nil
}

func (n *node) setInterest(filters []kozo.Filter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.interest = filters
}

func (n *node) account() kozo.Account {
	n.mu.Lock()
	defer n.mu.Unlock()
	queued := uint64(len(n.queue))
	return kozo.Account{Offered: n.offered, Taken: n.offered - queued, Queued: queued, Dropped: map[kozo.Cause]uint64{}, Sent: n.sent}
}

func (n *node) lose(cause kozo.Cause, messages uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost[cause] += messages
}

// inbox is the queue as the role sees it.
type inbox struct{ n *node }

func (i inbox) Ready() <-chan struct{} { return i.n.ready }

func (i inbox) TryReceive() (m kozo.Message, ok bool) {
	i.n.mu.Lock()
	defer i.n.mu.Unlock()
	if len(i.n.queue) == 0 {
		return m, false
	}
	m = i.n.queue[0]
	i.n.queue = i.n.queue[1:]
	return m, true
}

func (i inbox) Receive(ctx context.Context) (kozo.Message, error) {
	for {
		if m, ok := i.TryReceive(); ok {
			return m, nil
		}
		select {
		case <-i.n.ready:
		case <-ctx.Done():
			return kozo.Message{}, ctx.Err()
		}
	}
}

// storage keeps a value in memory.
type storage struct{ n *node }

func (s storage) Load(v any) error {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	if s.n.stored == nil {
		return kozo.ErrNoValue
	}
	return json.Unmarshal(s.n.stored, v)
}

func (s storage) Save(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	s.n.stored = text
	return nil
}

// handler keeps what would be logged.
type handler struct{ n *node }

func (h handler) Enabled(context.Context, slog.Level) bool { return true }
func (h handler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h handler) WithGroup(string) slog.Handler            { return h }

func (h handler) Handle(_ context.Context, r slog.Record) error {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	line := record{message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		switch {
		case a.Key == "text":
			line.text = a.Value.String()
		case a.Key == "heartbeat" && r.Message == talk.Greeted:
			h.n.beat = a.Value.Duration()
		}
		return true
	})
	if r.Message == talk.Greeted {
		close(h.n.hello)
		return nil
	}
	h.n.log = append(h.n.log, line)
	return nil
}
