package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"kozo"
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

// greet exchanges hellos and adopts the session, while there is no other one.
func (l *Link) greet(ctx context.Context, s *session) error {
	if err := l.exchange(ctx, s); err != nil {
		return err
	}
	if !l.adopt(s) {
		return closed(s.stream, errNoHello)
	}
	return nil
}

// exchange opens a stream and exchanges hellos. No other session may be asked
// meanwhile that is not abandoned.
func (l *Link) exchange(ctx context.Context, s *session) error {
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
	if s.abandoned {
		l.mu.Unlock()
		return closed(stream, errNoHello)
	}
	l.streams++
	hello := wire.Hello{
		Version: wire.Version, Program: l.cfg.Program, Boot: l.cfg.Boot,
		Sent: l.ledger.settled, Stream: l.streams, Digest: l.cfg.Digest,
	}
	l.mu.Unlock()
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
	if theirs.Digest != hello.Digest {
		if _, err := stream.Write(wire.AppendBlocks(nil, l.cfg.Blocks)); err != nil {
			return closed(stream, helloError(ctx, err))
		}
	}

	s.sent, s.theirs = hello.Sent, theirs
	return nil
}

// adopt makes a session the current one, after the exchange of hellos, unless it
// is abandoned. After it the stream can carry messages, first those which were in
// flight on an earlier one and have not arrived. What is in flight may change
// between the exchange and this, but nothing may be written on an earlier stream
// any more.
func (l *Link) adopt(s *session) bool {
	theirs := s.theirs
	s.theirs = nil
	l.mu.Lock()
	if s.abandoned {
		l.mu.Unlock()
		return false
	}
	s.greeted, s.boot, s.interest = true, theirs.Boot, theirs.Interest
	l.resume(s, s.sent, theirs)
	l.mu.Unlock()
	select {
	case <-l.kick: // it has done its work
	default:
	}
	l.setUp(s, theirs)
	l.cfg.OnHello(theirs)
	return true
}

// resume makes a session the current one, after a hello that said sent and was
// answered. The same run of the peer gets again what it did not get, and nothing
// else; what was in flight to an earlier run is lost with it, or its roles have
// worked it off already. The caller has the lock.
func (l *Link) resume(s *session, sent uint64, theirs *wire.Hello) {
	if theirs.KnownBoot == l.cfg.Boot && l.session != nil && l.session.boot == theirs.Boot {
		l.outbox.Confirm(l.ledger.resume(sent, theirs.Seen))
	} else {
		l.ledger.drop(kozo.Cut, l.outbox.Kept())
		l.outbox.Confirm(l.outbox.Kept())
		l.ledger.begin(sent)
	}
	l.outbox.Rewind()
	l.session, l.serving = s, true
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
		case wire.TypeMessage, wire.TypePing, wire.TypePong, wire.TypeAck, wire.TypeInterest, wire.TypeBlocks:
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
