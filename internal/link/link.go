package link

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"kozo"
	"kozo/internal/queue"
	"kozo/internal/wire"
)

// Conn is a live connection to the peer, encrypted and authenticated.
type Conn interface {
	// Open opens a stream to the peer. Closing the connection ends it, and the
	// errors of its Read then say why the connection ended.
	Open(ctx context.Context) (io.ReadWriteCloser, error)
	// Close ends the connection at once, for the reason given.
	Close(reason error)
}

// Target is one way to dial the peer. Targets are dialled in order, the lowest
// Rank first, each with a head start over the next one; among those of the same
// Rank it does not matter much which one is used, but one of a lower rank is worth
// moving to.
type Target struct {
	Transport string
	Endpoint  string
	Rank      int
	Timeout   time.Duration // for one attempt, the handshake included
	Hello     time.Duration // for the hellos after it, if longer than usual

	// Dial connects to the target, and calls answered when the transport has a
	// connection and the handshake begins. It returns soon after the end of the
	// context.
	Dial func(_ context.Context, answered func()) (Conn, error)
}

// Config is what a link needs. All functions may be called from several
// goroutines at once and do not block.
type Config struct {
	Peer    kozo.NodeName
	Policy  kozo.Policy
	Never   string // why this link can never come up; empty if it can
	Targets []Target

	// Turn waits until the link may try to connect, and returns what is called
	// when it has tried. The error is that of the context. If Turn is nil, the
	// link may try at any time.
	Turn func(context.Context) (done func(), err error)

	// Ride returns a connection that the peer has dialled, or nil. The link
	// opens a stream on it when it cannot dial the peer itself.
	Ride func() Conn

	Since       time.Time // beats come at whole heartbeats after it; the same for all links of a node
	Heartbeat   time.Duration
	Retry       time.Duration // longest pause between two attempts
	QueueLength int           // messages
	QueueSize   int           // bytes
	QueueAge    time.Duration // longest time that a message waits

	Boot       wire.Boot
	Program    string
	Digest     wire.Digest       // of the configuration of this node
	Blocks     map[string]string // what it is the digest of
	MaxFrame   int               // largest frame that the peer may send, in bytes
	OnInterest func([]kozo.Filter)
	OnHello    func(*wire.Hello)       // the peer's, whenever a connection comes up
	OnBlocks   func(map[string]string) // the peer's, after a hello with another digest

	Log *slog.Logger // already names the peer
}

// Reasons for which a link closes a connection.
var (
	ErrStopped  = errors.New("this node stops")
	ErrReplaced = errors.New("replaced by a newer connection of the same node")
	errMoved    = errors.New("moved to a better connection")

	errRestarted = errors.New("the peer was started again")
)

// byeStopping is what the peer is told when this node stops.
const byeStopping = "stopping"

// Link is the standing relation to one peer.
type Link struct {
	cfg  Config
	wake chan struct{} // there is something in the outbox
	kick chan struct{} // dial now

	kicked time.Time // when a kick last ended a pause; only Run touches it
	dials  *dials    // that are under way while the link is not up; nil if none; only Run touches it

	greeting sync.WaitGroup // what waits for hellos

	mu      sync.Mutex
	outbox  *queue.Frames
	writing bool // the writer will look into the outbox again before it sleeps
	blocked bool // the writer sleeps until something is confirmed
	ledger  ledger
	flushed chan struct{} // closed when nothing is queued or in flight; nil if nobody waits
	streams uint64        // that were opened
	session *session      // the latest whose hello was answered
	serving bool          // it has not ended
	state   state
}

// mostUnconfirmed is how many bytes are on their way at most: no more than an SSH
// channel takes without an answer.
const mostUnconfirmed = 2 << 20

// window is how many bytes of memory what is on its way may take.
func window(cfg Config) int { return min(cfg.QueueSize, mostUnconfirmed) }

// New makes a link. It does nothing before Run.
func New(cfg Config) *Link {
	l := &Link{
		cfg:    cfg,
		wake:   make(chan struct{}, 1),
		kick:   make(chan struct{}, 1),
		outbox: queue.NewFrames(cfg.QueueLength, cfg.QueueSize, window(cfg)),
		ledger: ledger{dropped: map[kozo.Cause]uint64{}},
	}
	l.state.init(cfg)
	return l
}

// Offer takes an encoded message that the peer wants, to be sent as soon as the
// link is up. It never blocks. at is the present time. The frame consists of head,
// which is copied, and body, which may be kept.
func (l *Link) Offer(head, body []byte, at time.Time) {
	l.mu.Lock()
	l.ledger.offered++
	if l.off() {
		l.ledger.drop(kozo.Refused, 1)
		l.mu.Unlock()
		return
	}
	l.expire(at)
	dropped, ok := l.outbox.Push(head, body, at)
	l.ledger.drop(kozo.QueueFull, dropped)
	if !ok {
		l.ledger.drop(kozo.Oversize, 1)
	}
	wake := ok && l.outbox.Len() == 1 && !l.writing
	l.mu.Unlock()
	if wake {
		signal(l.wake)
	}
}

func (l *Link) off() bool { return l.cfg.Policy == kozo.Never || l.cfg.Never != "" }

// expire drops what has waited for too long. What was on its way when a stream
// ended waits for the next one; whether it has arrived is known only then. The
// caller has the lock.
func (l *Link) expire(now time.Time) {
	again, waited := l.outbox.Expire(now.Add(-l.cfg.QueueAge))
	l.ledger.drop(kozo.Expired, waited)
	if l.serving {
		l.ledger.drop(kozo.Expired, again)
	} else {
		l.ledger.giveUp(again)
	}
}

// Arrived says that the peer, in the run with this boot id, has just opened a
// stream to this node. A link that waits for its next attempt makes it at once,
// since the peer is there; and one that is connected to an earlier run of the
// peer gives up that connection, which has nobody at its other end any more.
func (l *Link) Arrived(boot wire.Boot) {
	l.mu.Lock()
	var old Conn
	if l.state.up() && l.session.boot != boot {
		old = l.session.conn
	}
	l.mu.Unlock()
	if old != nil {
		old.Close(errRestarted)
	}
	signal(l.kick)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run keeps the link up, as its policy says, until ctx is done.
func (l *Link) Run(ctx context.Context) error {
	if l.off() {
		<-ctx.Done()
		return nil
	}
	retry := newBackoff(l.cfg.Retry)
	for ctx.Err() == nil {
		s, err := l.connect(ctx, retry)
		if err != nil {
			break
		}
		if s == nil { // on demand, and nobody demands any more
			l.waitWanted(ctx)
			continue
		}
		up := time.Now()
		for s != nil {
			s = l.serve(ctx, s)
		}
		// A connection that ended right away must not be made again right
		// away, over and over.
		if time.Since(up) >= min(l.cfg.Heartbeat, l.cfg.Retry) {
			retry.reset()
		} else {
			l.pause(ctx, retry, nil)
		}
	}
	l.greeting.Wait()
	l.mu.Lock()
	kept, waited := l.outbox.Clear()
	l.ledger.drop(kozo.Cut, kept+waited)
	l.mu.Unlock()
	return nil
}

// wanted says whether the link should be up: always, or on demand when there is
// something to send.
func (l *Link) wanted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(time.Now())
	return l.cfg.Policy == kozo.Constant || !l.drained()
}

func (l *Link) waitWanted(ctx context.Context) {
	l.setIdle()
	for !l.wanted() {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
	}
}

// Flush waits until everything that was offered is confirmed by the peer or
// dropped, for as long as the link is up and ctx is not done.
func (l *Link) Flush(ctx context.Context) {
	l.mu.Lock()
	if !l.state.up() || l.drained() {
		l.mu.Unlock()
		return
	}
	if l.flushed == nil {
		l.flushed = make(chan struct{})
	}
	flushed := l.flushed
	l.mu.Unlock()
	signal(l.wake)
	select {
	case <-flushed:
	case <-ctx.Done():
	}
}

func (l *Link) drained() bool { return l.outbox.Len() == 0 && l.outbox.Kept() == 0 }

// release wakes who waits in Flush, if there is no more to wait for. The caller
// has the lock.
func (l *Link) release() {
	if l.flushed != nil && (l.drained() || !l.state.up()) {
		close(l.flushed)
		l.flushed = nil
	}
}
