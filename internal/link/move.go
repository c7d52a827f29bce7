package link

import (
	"context"
	"sync/atomic"
	"time"
)

// leaveTimeout bounds how long a link that has moved waits for the end of the
// stream that rode on a connection of the peer.
const leaveTimeout = 5 * time.Second

// mover says hello on better connections, beside a session that goes on until one
// is answered.
type mover struct {
	link  *Link
	stop  context.CancelFunc
	moved chan *session // gets the session that was answered; closed at the end; nil if nothing is to come
	asked atomic.Pointer[session]
}

// move begins to say hello on the connections that come, which are better than
// that of a session.
func (l *Link) move(ctx context.Context, s *session, p *reading, better <-chan *session) *mover {
	ctx, stop := context.WithCancel(ctx)
	m := &mover{link: l, stop: stop}
	if better == nil {
		return m
	}
	m.moved = make(chan *session, 1)
	go m.run(ctx, s, p, better)
	return m
}

func (m *mover) run(ctx context.Context, s *session, p *reading, better <-chan *session) {
	defer close(m.moved)
	for {
		var n *session
		select {
		case n = <-better:
		case <-ctx.Done():
		}
		if n == nil { // there is nothing better any more
			return
		}
		m.asked.Store(n)
		err := m.link.exchange(ctx, n)
		if err == nil {
			m.moved <- n
			// Whatever is still being written on the old connection, the peer takes
			// nothing more there. It closes its side of a stream that rode on its
			// own; if it does not, that connection is not worth keeping.
			if !s.rides || !waitOr(p.dead, leaveTimeout) {
				s.conn.Close(errMoved)
			}
			return
		}
		m.asked.Store(nil)
		n.conn.Close(err)
		if ctx.Err() == nil {
			m.link.setTried(n.target, err)
		}
	}
}

// last is called when the old session has ended, and returns the better one if
// the peer has answered there, or does in a moment: it may have ended the old one
// for that.
func (m *mover) last(ctx context.Context) *session {
	if n := m.asked.Load(); n != nil {
		select {
		case n := <-m.moved:
			return n
		case <-time.After(n.head):
		case <-ctx.Done():
		}
	}
	m.stop()
	if m.moved == nil {
		return nil
	}
	return <-m.moved
}

// end waits until nothing more goes on.
func (m *mover) end() {
	m.stop()
	for m.moved != nil {
		if _, ok := <-m.moved; !ok {
			return
		}
	}
}
