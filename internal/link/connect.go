package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"kozo/internal/wire"
)

// helloTimeout bounds the opening of a stream and the exchange of hellos on a
// connection that is already there. rideTimeout is the same for a stream that
// rides on a connection which is in use: the hellos may have to wait for much
// that is being sent there, and to give up would end that too.
const (
	helloTimeout = 10 * time.Second
	rideTimeout  = time.Minute
)

// patience is how long hellos may take. hello is what the transport needs.
func patience(rides bool, hello time.Duration) time.Duration {
	if rides {
		return max(rideTimeout, hello)
	}
	return max(helloTimeout, hello)
}

// session is a stream on a live connection, after both hellos.
type session struct {
	conn      Conn
	stream    io.ReadWriteCloser
	reader    *wire.Reader
	boot      wire.Boot // of the peer
	transport string
	endpoint  string
	rank      int
	hello     time.Duration // how long the hellos may take, if longer than usual
	rides     bool
}

// end closes a session. A connection that the link rides on is not its own: only
// the stream is closed.
func (s *session) end(reason error) {
	_ = s.stream.Close()
	if !s.rides {
		s.conn.Close(reason)
	}
}

// connect tries until there is a session. It returns nil and no error when the
// link is not wanted any more, and an error only when ctx is done.
func (l *Link) connect(ctx context.Context, retry *backoff) (*session, error) {
	for {
		if ctx.Err() != nil || !l.wanted() {
			return nil, ctx.Err()
		}
		l.setDialling()
		s, err := l.attempt(ctx)
		if ctx.Err() != nil {
			if s != nil {
				s.end(ErrStopped)
			}
			return nil, ctx.Err()
		}
		if s != nil {
			return s, nil
		}
		l.pause(ctx, retry, err)
	}
}

// pause waits before the next attempt, after one that failed with err or a
// connection that did not last.
func (l *Link) pause(ctx context.Context, retry *backoff, err error) {
	pause := retry.pause()
	next := time.Now().Add(pause)
	if len(l.cfg.Targets) == 0 && l.cfg.Ride() == nil {
		pause, next = l.cfg.Retry, time.Time{} // a kick comes with the peer
	}
	l.setWaiting(next, err)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
		return
	case <-l.kick:
	}
	// However often the peer comes, it is not dialled more often than that.
	if wait := firstPause - time.Since(l.kicked); wait > 0 && wait < pause {
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	l.kicked = time.Now()
}

// attempt tries every target once and then to ride.
func (l *Link) attempt(ctx context.Context) (*session, error) {
	s, err := l.dial(ctx)
	if s != nil {
		return s, nil
	}
	if conn := l.cfg.Ride(); conn != nil {
		s := &session{conn: conn, rank: rideRank, rides: true, transport: "peer's"}
		rideErr := l.greet(ctx, s)
		if rideErr == nil {
			return s, nil
		}
		if err == nil {
			err = fmt.Errorf("cannot use the connection that the peer made: %w", rideErr)
		}
	}
	if err == nil {
		err = errors.New("it has no address to dial and has not dialled this node")
	}
	return nil, err
}

// rideRank is worse than that of any target.
const rideRank = 1 << 30

// dial tries the targets in order and returns the first session, or the errors
// of all of them.
func (l *Link) dial(ctx context.Context) (*session, error) {
	var errs []error
	for i := range l.cfg.Targets {
		s, err := l.dialTarget(ctx, i)
		if err == nil {
			if err = l.greet(ctx, s); err == nil {
				return s, nil
			}
			s.conn.Close(err)
			l.setTried(i, err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		errs = append(errs, fmt.Errorf("%s %s: %w", s.transport, s.endpoint, err))
	}
	return nil, errors.Join(errs...)
}

// dialTarget makes a connection, without a stream yet. The session is never nil.
func (l *Link) dialTarget(ctx context.Context, i int) (*session, error) {
	t := &l.cfg.Targets[i]
	s := &session{transport: t.Transport, endpoint: t.Endpoint, rank: t.Rank, hello: t.Hello}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	var err error
	s.conn, err = t.Dial(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", t.Timeout)
	}
	l.setTried(i, err)
	return s, err
}

// greet opens a stream and exchanges hellos. After it, what was cut earlier has
// its final fate, and the stream can carry messages.
func (l *Link) greet(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, patience(s.rides, s.hello))
	defer cancel()
	stream, err := s.conn.Open(ctx)
	if err != nil {
		return helloError(ctx, err)
	}
	// A stream has no deadlines: the end of the connection is what ends a peer's
	// silence. One that does not answer is worth nothing, whoever dialled it.
	stop := context.AfterFunc(ctx, func() { s.conn.Close(errNoHello) })
	defer stop()

	l.mu.Lock()
	sent := l.ledger.written
	l.mu.Unlock()
	hello := wire.Hello{
		Version: wire.Version, Program: l.cfg.Program, Boot: l.cfg.Boot,
		Sent: sent, Digest: l.cfg.Digest,
	}
	_, unsent := stream.Write(wire.AppendHello(nil, &hello))
	s.stream, s.reader = stream, wire.NewReader(stream, l.cfg.MaxFrame)
	// A peer that refuses the stream may have closed it already: its goodbye
	// says why, and a failed write does not.
	theirs, err := readHello(s.reader)
	if err == nil {
		err = unsent
	}
	if err != nil {
		return closed(stream, helloError(ctx, err))
	}
	if theirs.Version != wire.Version {
		return closed(stream, fmt.Errorf("the peer speaks version %d of the protocol, this node version %d; run the same kozo on both",
			theirs.Version, wire.Version))
	}

	l.mu.Lock()
	if theirs.KnownBoot == l.cfg.Boot {
		l.ledger.recover(theirs.Seen)
	} else {
		l.ledger.forget()
	}
	l.mu.Unlock()
	select {
	case <-l.kick: // it has done its work
	default:
	}
	s.boot = theirs.Boot
	l.setUp(s, theirs)
	l.cfg.OnHello(theirs)
	l.cfg.OnInterest(theirs.Interest)
	return nil
}

var errNoHello = errors.New("connected, but the peer did not say hello in time")

func closed(stream io.Closer, err error) error {
	_ = stream.Close()
	return err
}

func helloError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errNoHello
	}
	return err
}

// readHello reads frames up to the first hello. A bye instead of it is an error
// with the peer's reason.
func readHello(r *wire.Reader) (*wire.Hello, error) {
	for {
		typ, payload, err := r.Next()
		if err != nil {
			return nil, err
		}
		switch typ {
		case wire.TypeHello:
			h, err := wire.ParseHello(payload)
			return &h, err
		case wire.TypeBye:
			return nil, byeError(payload)
		case wire.TypeMessage, wire.TypePing, wire.TypePong, wire.TypeAck, wire.TypeInterest:
			return nil, fmt.Errorf("the peer sent a frame of type %d before its hello", typ)
		}
	}
}

func byeError(payload []byte) error {
	reason, err := wire.ParseBye(payload)
	if err != nil || reason == "" {
		return errors.New("the peer hung up")
	}
	return fmt.Errorf("the peer hung up: %s", reason)
}
