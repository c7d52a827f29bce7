// Package rolehost runs one role of a node: it gives the role what it needs,
// holds its inbox, restarts it when it fails, and accounts for its messages.
package rolehost

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"kozo"
	"kozo/internal/queue"
	"kozo/internal/status"
	"kozo/internal/supervise"
)

// Config is what a role is run with. The functions may be called from several
// goroutines at once and do not block.
type Config struct {
	Ref         kozo.RoleRef
	Type        string
	New         func() (kozo.Role, error) // makes a fresh instance
	Configured  kozo.Limits               // of the inbox; zero where the file does not say
	Default     kozo.Limits
	Size        func(*kozo.Message) int // bytes for which a message counts in the inbox
	Storage     kozo.Storage
	Out         io.Writer
	Log         *slog.Logger        // already names the role
	Send        func(*kozo.Message) // as Sender.Out, and not used by others
	SetInterest func([]kozo.Filter)
	Inspect     *kozo.Inspect // or nil
}

// Host runs one role.
type Host struct {
	cfg    Config
	inbox  *queue.Inbox[kozo.Message]
	sender Sender
	reopen chan struct{}

	mu      sync.Mutex
	next    kozo.Role // made to ask for its limits, and not run yet
	current kozo.Role // runs
	state   supervise.State
	lost    map[kozo.Cause]uint64 // taken, and lost on the way from there
}

// Restarts of a role that fails: the first pause, the longest one, and how long
// it must run before its failures are forgotten.
const (
	firstRestart   = time.Second
	slowestRestart = time.Minute
	healthy        = time.Minute
)

// New makes a host, and the first instance of its role. The error is that of
// the role's own type.
func New(cfg Config) (*Host, error) {
	role, err := cfg.New()
	if err != nil {
		return nil, err
	}
	limits := cfg.Configured
	if l, ok := role.(kozo.InboxLimiter); ok {
		limits = l.InboxLimits(limits)
	}
	if limits.Length <= 0 {
		limits.Length = cfg.Default.Length
	}
	if limits.Size <= 0 {
		limits.Size = cfg.Default.Size
	}
	return &Host{
		cfg:    cfg,
		inbox:  queue.NewInbox(limits.Length, int(min(limits.Size, math.MaxInt)), cfg.Size),
		sender: Sender{From: cfg.Ref, Out: cfg.Send},
		reopen: make(chan struct{}, 1),
		next:   role,
	}, nil
}

// Run runs the role, again and again when it fails, until it is done or ctx is.
func (h *Host) Run(ctx context.Context) error {
	err := supervise.Run(ctx, supervise.Options{
		Min: firstRestart, Max: slowestRestart, Healthy: healthy,
		Log: h.cfg.Log, OnChange: h.changed,
	}, h.runOnce)
	if ctx.Err() == nil {
		h.cfg.SetInterest(nil) // done for good; a node that only stops comes back
	}
	h.inbox.Close()
	return err
}

func (h *Host) runOnce(ctx context.Context) error {
	h.mu.Lock()
	role := h.next
	h.next = nil
	h.mu.Unlock()
	if role == nil {
		var err error
		if role, err = h.cfg.New(); err != nil {
			return err
		}
	}
	h.mu.Lock()
	h.current = role
	h.mu.Unlock()
	h.inbox.Wake() // an instance that failed may have taken the token
	return role.Run(ctx, &kozo.Env{
		Self: h.cfg.Ref, Inbox: inbox{h.inbox}, Send: h.sender.Send, SetInterest: h.cfg.SetInterest,
		Storage: h.cfg.Storage, Out: h.cfg.Out, Log: h.cfg.Log, Reopen: h.reopen, Inspect: h.cfg.Inspect,
		Account: h.account, Lost: h.addLost,
	})
}

func (h *Host) changed(s supervise.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = s
}

// Put gives the role messages. It never blocks. It keeps the slice, and does not
// change it.
func (h *Host) Put(messages ...kozo.Message) { h.inbox.Put(messages...) }

// Vars returns what the role exposes while it runs; nil if it exposes nothing.
func (h *Host) Vars() (vars map[string]any) {
	h.mu.Lock()
	role, running := h.current, h.state.State == "running"
	h.mu.Unlock()
	exposer, ok := role.(kozo.Exposer)
	if !ok || !running {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			vars = map[string]any{"panic": fmt.Sprint(p)}
		}
	}()
	return exposer.Vars()
}

// Reopen tells the role to open its files again.
func (h *Host) Reopen() {
	select {
	case h.reopen <- struct{}{}:
	default:
	}
}

// addLost counts messages that the role has taken for others, who did not get
// them.
func (h *Host) addLost(cause kozo.Cause, messages uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if messages == 0 {
		return
	}
	if h.lost == nil {
		h.lost = map[kozo.Cause]uint64{}
	}
	h.lost[cause] += messages
}

func (h *Host) account() kozo.Account {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, _ := h.accountLocked()
	return a
}

func (h *Host) accountLocked() (kozo.Account, queue.Counts) {
	counts := h.inbox.Counts() // after what was lost was taken
	a := kozo.Account{
		Offered: counts.Offered, Taken: counts.Taken, Queued: counts.Queued,
		Dropped: map[kozo.Cause]uint64{}, Sent: h.sender.Sent(),
	}
	for cause, n := range map[kozo.Cause]uint64{
		kozo.InboxFull: counts.Full, kozo.Oversize: counts.Oversize, kozo.Cut: counts.Left,
	} {
		if n > 0 {
			a.Dropped[cause] = n
		}
	}
	for cause, n := range h.lost {
		n = min(n, a.Taken)
		a.Taken -= n
		a.Dropped[cause] += n
	}
	return a, counts
}

// Status returns a snapshot of the role.
func (h *Host) Status() status.Role {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, counts := h.accountLocked()
	s := status.Role{
		Name: string(h.cfg.Ref.Role), Type: h.cfg.Type,
		State: h.state.State, Restarts: h.state.Restarts, Sent: a.Sent,
		Inbox: status.Inbox{
			Offered: a.Offered, Taken: a.Taken, Queued: a.Queued, Bytes: counts.Bytes,
			Dropped: map[string]uint64{},
		},
	}
	for cause, n := range a.Dropped {
		s.Inbox.Dropped[string(cause)] = n
	}
	if h.state.Err != nil {
		s.Error = h.state.Err.Error()
	}
	if waited := counts.Unread; waited > patience {
		s.Note = fmt.Sprintf("has not read its inbox for %v", waited.Round(time.Second))
	}
	return s
}

// patience is how long a message can wait in an inbox before the status says
// that the role does not read.
const patience = 10 * time.Second

// inbox is the role's view of its queue.
type inbox struct{ q *queue.Inbox[kozo.Message] }

func (i inbox) Receive(ctx context.Context) (kozo.Message, error) { return i.q.Take(ctx) }
func (i inbox) TryReceive() (kozo.Message, bool)                  { return i.q.TryTake() }
func (i inbox) Ready() <-chan struct{}                            { return i.q.Ready() }

// Sender numbers and stamps the messages of one role. It is safe for concurrent
// use; messages leave in the order of their numbers.
type Sender struct {
	From kozo.RoleRef
	Out  func(*kozo.Message) // neither keeps the pointer nor changes the message; called once at a time

	sent    atomic.Uint64
	mu      sync.Mutex
	stamped kozo.Message // the last one, without its content
}

// Send checks a message, fills in who sent it, when, and its number, and sends
// it on.
func (s *Sender) Send(m kozo.Message) error {
	if err := m.Body.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := &s.stamped; m.Kind != last.Kind || m.Type != last.Type || m.Channel != last.Channel {
		if err := m.Check(); err != nil {
			return err
		}
	}
	s.stamped = m
	s.stamped.From, s.stamped.Time, s.stamped.Seq = s.From, time.Now(), s.sent.Add(1)
	s.Out(&s.stamped)
	s.stamped.Body = nil // it does not hold on to the content
	return nil
}

// Sent returns how many messages were sent.
func (s *Sender) Sent() uint64 { return s.sent.Load() }
