// Package kozotest is for people who write roles and transports.
//
// [RunRole] runs a role alone, with an Env whose every part the test can see and
// play with, and checks on the way that the role keeps its promises.
//
//	run := kozotest.RunRole(t, kozotest.Make(t, cuckoo.Type(), nil))
//	run.Deliver(tick)
//	run.Wait("a cuckoo", func() bool { return strings.Contains(run.Out(), "cuckoo!") })
//	run.Stop()
//
// [TestTransport] tries everything that a transport must be able to do, over the
// network of this machine or over one in memory.
//
//	kozotest.TestTransport(t, kozotest.TransportTest{Type: tcp.Type(), Options: kozo.Values{
//		"address": kozo.List{"127.0.0.1"}, "port": kozotest.FreePort(t),
//	}})
//
// Both work with real time and inside bubbles of [testing/synctest] alike.
package kozotest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kozo"
)

// Make makes a role from the values of its options; those that are not given
// have their defaults. It ends the test if the role does not want them.
func Make(t testing.TB, typ kozo.RoleType, values kozo.Values) kozo.Role {
	t.Helper()
	role, err := typ.New(values)
	if err != nil {
		t.Fatalf("making a role of type %s: %v", typ.Name, err)
	}
	return role
}

// Options says how to run a role. The zero value will do.
type Options struct {
	Self     kozo.RoleRef  // default: role@node
	Storage  *Storage      // default: a new one; hand over that of an earlier run to play a restart
	Inspect  *kozo.Inspect // what a role whose type asks for it sees of its node; default: nothing
	Patience time.Duration // how long Wait and Stop wait before they fail the test; default: 30 s
}

// RoleRun is a role that runs. Its methods may be used from several goroutines
// at once.
type RoleRun struct {
	t       testing.TB
	role    kozo.Role
	o       Options
	storage *Storage
	inbox   *inbox
	out     *record
	log     *record
	reopen  chan struct{}
	cancel  context.CancelFunc
	done    chan struct{} // closed when Run has returned

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever something happens
	sent     []kozo.Message
	interest []kozo.Filter
	lost     map[kozo.Cause]uint64
	ended    bool
	err      error
	seen     bool // the test has asked for err, or has failed for it
}

// RunRole runs a role until Stop is called or the test ends. The test fails if
// the role panics, ends with an error that the test does not look at, does not
// return soon after its context is done, sends something after that, or sends
// what it does not publish.
func RunRole(t testing.TB, role kozo.Role, options ...Options) *RoleRun {
	t.Helper()
	r := &RoleRun{
		t: t, role: role,
		reopen: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
	if len(options) > 0 {
		r.o = options[0]
	}
	if r.o.Self == (kozo.RoleRef{}) {
		r.o.Self = kozo.RoleRef{Node: "node", Role: "role"}
	}
	if r.o.Patience == 0 {
		r.o.Patience = 30 * time.Second
	}
	if r.storage = r.o.Storage; r.storage == nil {
		r.storage = NewStorage()
	}
	if i, ok := role.(kozo.Interested); ok {
		r.interest = i.Interest()
	}
	r.inbox = newInbox(r.change)
	r.out, r.log = &record{change: r.change}, &record{change: r.change}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	env := &kozo.Env{
		Self: r.o.Self, Inbox: r.inbox, Send: r.send, SetInterest: r.setInterest,
		Storage: r.storage, Out: r.out, Reopen: r.reopen, Inspect: r.o.Inspect,
		Account: r.Account, Lost: r.lose,
		Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	go r.run(ctx, env)
	t.Cleanup(r.cleanup)
	return r
}

func (r *RoleRun) run(ctx context.Context, env *kozo.Env) {
	defer close(r.done)
	var err error
	panicked := false
	defer func() {
		if p := recover(); p != nil {
			err, panicked = fmt.Errorf("the role panicked: %v", p), true
			r.t.Errorf("%v\n%s", err, debug.Stack())
		}
		r.mu.Lock()
		r.err, r.ended, r.seen = err, true, panicked
		r.mu.Unlock()
		r.change()
	}()
	err = r.role.Run(ctx, env)
}

// Account returns what a node would show of the messages of the role. Nothing
// ever pushes a message out of this inbox.
func (r *RoleRun) Account() kozo.Account {
	r.mu.Lock()
	defer r.mu.Unlock()
	offered, queued := r.inbox.counts()
	a := kozo.Account{
		Offered: offered, Taken: offered - queued, Queued: queued,
		Dropped: map[kozo.Cause]uint64{}, Sent: uint64(len(r.sent)),
	}
	for cause, n := range r.lost {
		a.Taken -= n
		a.Dropped[cause] = n
	}
	return a
}

func (r *RoleRun) lose(cause kozo.Cause, messages uint64) {
	defer r.change()
	r.mu.Lock()
	defer r.mu.Unlock()
	if messages == 0 {
		return
	}
	if r.lost == nil {
		r.lost = map[kozo.Cause]uint64{}
	}
	r.lost[cause] += messages
}

func (r *RoleRun) cleanup() {
	r.t.Helper()
	r.cancel()
	if !r.wait() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil && !r.seen && !errors.Is(r.err, context.Canceled) {
		r.t.Errorf("the role has ended with an error: %v", r.err)
	}
}

// wait waits for the end of Run, and fails the test if it does not come.
func (r *RoleRun) wait() bool {
	r.t.Helper()
	timer := time.NewTimer(r.o.Patience)
	defer timer.Stop()
	select {
	case <-r.done:
		return true
	case <-timer.C:
		r.t.Errorf("Run has not returned %v after the end of its context", r.o.Patience)
		return false
	}
}

// Stop ends the context of the role, waits until Run has returned, and returns
// its error. It may be called again.
func (r *RoleRun) Stop() error {
	r.t.Helper()
	r.cancel()
	r.wait()
	return r.Err()
}

// End waits until the role ends by itself, as Wait does, and returns its error.
func (r *RoleRun) End() error {
	r.t.Helper()
	r.Wait("the end of the role", func() bool {
		select {
		case <-r.done:
			return true
		default:
			return false
		}
	})
	return r.Err()
}

// Done is closed when Run has returned.
func (r *RoleRun) Done() <-chan struct{} { return r.done }

// Err returns the error with which Run has ended. A panic counts as one.
func (r *RoleRun) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = true
	return r.err
}

// Deliver puts a message into the inbox of the role as a node would: only if the
// role wants it, which it returns. A sender and a time are filled in if they are
// missing.
func (r *RoleRun) Deliver(m kozo.Message) bool {
	r.t.Helper()
	if err := errors.Join(m.Check(), m.Body.Check()); err != nil {
		r.t.Fatalf("a node would not deliver this message: %v", err)
	}
	if m.From == (kozo.RoleRef{}) {
		m.From = kozo.RoleRef{Node: "peer", Role: "sender"}
	}
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	wanted := slices.ContainsFunc(r.Interest(), func(f kozo.Filter) bool { return f.Match(&m) })
	if wanted {
		r.inbox.put(m)
	}
	return wanted
}

// Waiting returns the number of messages that the role has not taken yet.
func (r *RoleRun) Waiting() int { return r.inbox.len() }

// Interest returns what the role wants now.
func (r *RoleRun) Interest() []kozo.Filter {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.interest)
}

// Sent returns what the role has sent so far.
func (r *RoleRun) Sent() []kozo.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sent)
}

// Said says whether the role has sent a message whose content has a text in it.
func (r *RoleRun) Said(text string) bool {
	return slices.ContainsFunc(r.Sent(), func(m kozo.Message) bool { return strings.Contains(m.Body.Text(), text) })
}

// Storage returns the storage of the role.
func (r *RoleRun) Storage() *Storage { return r.storage }

// Out returns what the role has written to its Out.
func (r *RoleRun) Out() string { return r.out.String() }

// Log returns what the role has logged for the operator, one line a record, as
// [slog.TextHandler] writes it.
func (r *RoleRun) Log() string { return r.log.String() }

// Reopen tells the role to open its files again.
func (r *RoleRun) Reopen() {
	select {
	case r.reopen <- struct{}{}:
	default: // it has been told already
	}
}

// Wait waits until a condition holds, and ends the test if it does not within
// the time of Options.Patience. The condition is looked at whenever the role
// does something, and every few milliseconds for the sake of what happens
// elsewhere.
func (r *RoleRun) Wait(what string, condition func() bool) {
	r.t.Helper()
	patience := time.NewTimer(r.o.Patience)
	defer patience.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		r.mu.Lock()
		changed, ended, err := r.changed, r.ended, r.err
		r.mu.Unlock()
		if condition() {
			return
		}
		select {
		case <-changed:
		case <-again.C:
		case <-patience.C:
			r.t.Fatalf("waited %v in vain for %s\nended: %v, error: %v\nsent: %d messages\nout: %s\nlog: %s",
				r.o.Patience, what, ended, err, len(r.Sent()), r.Out(), r.Log())
		}
	}
}

func (r *RoleRun) send(m kozo.Message) error {
	if err := errors.Join(m.Check(), m.Body.Check()); err != nil {
		return err
	}
	r.mu.Lock()
	if r.ended {
		r.t.Errorf("the role has sent a message after Run had returned: %s %s", m.Kind, m.Type)
	}
	if p, ok := r.role.(kozo.Publisher); ok && m.Kind != kozo.Log &&
		!slices.ContainsFunc(p.Publishes(), func(f kozo.Filter) bool { return f.Match(&m) }) {
		r.t.Errorf("the role has sent what it does not publish: %s %s", m.Kind, m.Type)
	}
	m.From, m.Seq = r.o.Self, uint64(len(r.sent)+1)
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	r.sent = append(r.sent, m)
	r.mu.Unlock()
	r.change()
	return nil
}

func (r *RoleRun) setInterest(filters []kozo.Filter) {
	r.mu.Lock()
	r.interest = slices.Clone(filters)
	r.mu.Unlock()
	r.change()
}

// change wakes up whoever waits for something to happen.
func (r *RoleRun) change() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}
