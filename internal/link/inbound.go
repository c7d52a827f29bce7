package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"kozo"
	"kozo/internal/status"
	"kozo/internal/wire"
)

// InboundConfig is what the receiving half of a link needs. All functions may be
// called from several goroutines at once and do not block.
type InboundConfig struct {
	Peer      kozo.NodeName
	Since     time.Time // as in Config
	Heartbeat time.Duration
	Program   string
	Boot      wire.Boot
	Digest    wire.Digest          // as in Config
	Blocks    map[string]string    // as in Config
	MaxFrame  int                  // largest frame that is accepted, in bytes
	Interest  func() []kozo.Filter // what the roles of this node want now

	// Deliver gives messages to the roles that want them, and may keep the
	// slice. There is at least one, and all have the same kind, type, channel and
	// sender. It returns false if nobody wants them, or if the peer has no such
	// sending role.
	Deliver  func(...kozo.Message) bool
	OnHello  func(*wire.Hello)
	OnBlocks func(map[string]string) // as in Config

	Log *slog.Logger // already names the peer
}

// Inbound receives what one peer sends. It serves one stream at a time: a new
// one replaces the old one at once, so that a connection that is dead on one
// side only never stands in the way of its successor.
type Inbound struct {
	cfg InboundConfig

	mu         sync.Mutex
	delivering bool      // a message is on its way to the roles
	delivered  sync.Cond // it has arrived there

	current *receiver     // nil if there is none
	serving int           // streams
	idle    chan struct{} // closed when none is served any more; nil if nobody waits
	since   time.Time
	boot    wire.Boot // of the peer, as far as it is known
	alive   time.Time // when that run of the peer, or an earlier one, had not ended
	stream  uint64    // which of its streams the current one is, or the last one
	got     uint64    // number of the last message of that boot which arrived

	accepted uint64
	dropped  map[kozo.Cause]uint64
}

// NewInbound makes the receiving half of a link.
func NewInbound(cfg InboundConfig) *Inbound {
	in := &Inbound{cfg: cfg, dropped: map[kozo.Cause]uint64{}}
	in.delivered.L = &in.mu
	return in
}

// receiver serves one stream.
type receiver struct {
	in     *Inbound
	stream io.ReadWriteCloser
	line   Line

	// Guarded by the lock of in.
	number uint64 // of the last message, as the opener counts
	left   bool   // takes no more, but waits for the opener to hang up

	wake chan struct{} // there is something to answer

	replacing sync.WaitGroup // the older stream, which is being closed

	names wire.Names

	mu     sync.Mutex
	pinged bool // and not answered yet
	ping   wire.Ping
	news   bool // messages have arrived that are not confirmed
	fresh  bool // the interest has changed
}

// Closer is a connection that can be ended, for a reason. Close does not block.
type Closer interface {
	Close(reason error)
}

// Line is a connection on which the peer opens streams.
type Line struct {
	Conn Closer

	// Shared says that this node has dialled the connection, for its own link:
	// when a newer stream takes over, only the old stream is closed then, and not
	// the connection too.
	Shared bool

	Hello time.Duration // how long the hellos may take, if longer than usual

	// The run of the peer that is at the other end had begun at the first of these
	// times, and had not ended at the second one, which may be the earlier one. Of
	// two runs this tells which one is the older.
	Begun, Alive time.Time
}

// Serve works off a stream that the peer has opened on a connection, until it
// ends or ctx is done, and returns why.
func (in *Inbound) Serve(ctx context.Context, stream io.ReadWriteCloser, line Line) error {
	if !in.enter(ctx) {
		line.Conn.Close(ErrStopped)
		return ErrStopped
	}
	defer in.exit()
	r := &receiver{in: in, stream: stream, line: line, wake: make(chan struct{}, 1)}
	defer r.replacing.Wait()
	defer func() { _ = stream.Close() }()
	reader := wire.NewReader(stream, in.cfg.MaxFrame)
	theirs, err := r.hello(ctx, reader)
	if err != nil {
		return err
	}
	in.cfg.OnHello(theirs)

	ended := make(chan struct{})
	// A peer that does not read blocks a write, and one that does not hang up
	// blocks a read: the end of ctx leaves it a moment.
	unstop := context.AfterFunc(ctx, func() {
		waitOr(ended, byeTimeout)
		line.Conn.Close(ErrStopped)
	})
	defer unstop()
	var writing sync.WaitGroup
	writing.Go(func() { r.answer(ctx, ended) })
	err = r.read(reader)
	close(ended)
	_ = stream.Close()
	writing.Wait()
	in.leave(r)
	return err
}

// hello exchanges hellos and makes r the current receiver.
func (r *receiver) hello(ctx context.Context, reader *wire.Reader) (*wire.Hello, error) {
	in := r.in
	ctx, cancel := context.WithTimeout(ctx, patience(r.line.Shared, r.line.Hello))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { r.line.Conn.Close(errNoHello) })
	defer stop()
	theirs, err := readHello(reader)
	if err != nil {
		return nil, helloError(ctx, err)
	}
	if theirs.Version != wire.Version {
		reason := fmt.Sprintf("this node speaks version %d of the protocol, not %d", wire.Version, theirs.Version)
		_, _ = r.stream.Write(wire.AppendBye(nil, reason))
		return nil, errors.New(reason)
	}

	ours := wire.Hello{
		Version: wire.Version, Program: in.cfg.Program, Boot: in.cfg.Boot,
		Digest: in.cfg.Digest,
	}
	ours.KnownBoot, ours.Seen, err = r.takeOver(theirs)
	if err != nil {
		return nil, err
	}
	ours.Interest = in.cfg.Interest() // what changes from now on is told to r by Refresh
	first := wire.AppendHello(nil, &ours)
	if theirs.Digest != ours.Digest {
		first = wire.AppendBlocks(first, in.cfg.Blocks)
	}
	if _, err := r.stream.Write(first); err != nil {
		in.leave(r)
		return nil, helloError(ctx, err)
	}
	return theirs, nil
}

// errOvertaken is for a hello that was held up on its way, while that of a later
// stream arrived: it is not the newest. So is one of an earlier run of the peer.
var errOvertaken = errors.New("overtaken by a newer stream of the same node")

// takeOver makes r the current receiver instead of that of an older stream. It
// returns what this node remembers of the peer.
func (r *receiver) takeOver(theirs *wire.Hello) (boot wire.Boot, seen uint64, err error) {
	in := r.in
	in.mu.Lock()
	if in.overtaken(r, theirs) {
		in.mu.Unlock()
		return boot, seen, errOvertaken
	}
	old := in.current
	in.current, in.since = r, time.Now()
	boot, seen = in.boot, in.got // the old stream brings nothing more
	if in.boot != theirs.Boot {
		in.boot, in.got = theirs.Boot, 0
	}
	if r.line.Alive.After(in.alive) {
		in.alive = r.line.Alive
	}
	in.stream = theirs.Stream
	r.number = max(in.got, theirs.Sent) // what is not sent again has not been got yet
	for in.delivering {                 // what the old stream brought comes before what r will bring
		in.delivered.Wait()
	}
	if in.current != r {
		err = ErrReplaced
	}
	in.mu.Unlock()
	if old != nil {
		r.replacing.Go(func() { r.replace(old) })
	}
	return boot, seen, err
}

// overtaken says that a hello is older than the last one that was answered. A run
// of the peer that had begun before the known one had ended is not a later one, as
// a node has one run at a time. The caller has the lock.
func (in *Inbound) overtaken(r *receiver, theirs *wire.Hello) bool {
	if in.boot == theirs.Boot {
		return theirs.Stream <= in.stream
	}
	return r.line.Begun.Before(in.alive)
}

// replace closes an older stream. Where nothing can be sent any more that takes
// until its connection is given up, and nobody waits for it.
func (r *receiver) replace(old *receiver) {
	if !old.line.Shared && old.line.Conn != r.line.Conn {
		old.line.Conn.Close(ErrReplaced)
	}
	_ = old.stream.Close()
}

// enter notes that a stream is served, unless the node stops.
func (in *Inbound) enter(ctx context.Context) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	in.serving++
	return true
}

func (in *Inbound) exit() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.serving--
	if in.serving == 0 && in.idle != nil {
		close(in.idle)
		in.idle = nil
	}
}

// Wait waits until no stream is served any more, after the context of Serve is
// done.
func (in *Inbound) Wait() {
	in.mu.Lock()
	if in.serving == 0 {
		in.mu.Unlock()
		return
	}
	if in.idle == nil {
		in.idle = make(chan struct{})
	}
	idle := in.idle
	in.mu.Unlock()
	<-idle
}

// waitOr waits for done, but not longer than the limit, and says whether it is.
func waitOr(done <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func (in *Inbound) leave(r *receiver) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.current == r {
		in.current = nil
		r.left = true
	}
}

// Refresh tells the peer that the interest of this node has changed.
func (in *Inbound) Refresh() {
	in.mu.Lock()
	r := in.current
	in.mu.Unlock()
	if r != nil {
		r.note(func() { r.fresh = true })
	}
}

// Fill writes what has arrived into a snapshot.
func (in *Inbound) Fill(out *status.Inbound) {
	in.mu.Lock()
	defer in.mu.Unlock()
	out.Accepted, out.Dropped = in.accepted, counts(in.dropped)
	out.Received = in.accepted + status.Sum(out.Dropped)
	if in.current != nil {
		since := in.since
		out.Connected, out.Since = true, &since
	}
}
