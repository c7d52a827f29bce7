package link

import (
	"context"
	"time"

	"kozo/internal/wire"
)

// ackDelay is how long the confirmation of a message waits for further ones.
const ackDelay = 250 * time.Millisecond

// note changes what there is to answer.
func (r *receiver) note(change func()) {
	r.mu.Lock()
	change()
	r.mu.Unlock()
	signal(r.wake)
}

// answer writes what the peer should know: pongs at once, confirmations after a
// moment, and something at a beat if nothing was written since the one before: so
// it is never silent for longer than two heartbeats. It returns when the stream
// has ended, when it cannot be written to any more (a newer one has taken over,
// or reading is about to end too), and after the goodbye at the end of ctx.
func (r *receiver) answer(ctx context.Context, ended <-chan struct{}) {
	beat := newBeat(r.in.cfg.Since, r.in.cfg.Heartbeat)
	defer beat.stop()
	// The peer's pings come at every heartbeat: only if they do not get through
	// is there need for a sign of life of our own.
	said := false
	ack := time.NewTimer(ackDelay)
	ack.Stop()
	defer ack.Stop()
	armed := false
	var buf []byte
	for {
		due := false
		select {
		case <-ended:
			return
		case <-ctx.Done():
			r.in.leave(r) // what arrives after the last confirmation is not taken
			buf = wire.AppendAck(buf[:0], wire.Ack{Seen: r.seen()})
			_, _ = r.stream.Write(wire.AppendBye(buf, byeStopping))
			return
		case <-r.wake:
		case <-ack.C:
			due, armed = true, false
		case <-beat.c:
			beat.next()
			if said {
				said = false
				continue
			}
			due = true
		}
		var unconfirmed bool
		buf, unconfirmed = r.answers(buf[:0], due)
		if unconfirmed != armed {
			armed = unconfirmed
			if armed {
				ack.Reset(ackDelay)
			} else {
				ack.Stop()
			}
		}
		if len(buf) > 0 {
			if _, err := r.stream.Write(buf); err != nil {
				return
			}
			said = true
		}
	}
}

// answers collects the frames to write now. due says that a confirmation should
// not wait any longer; unconfirmed, that there is one that still can.
func (r *receiver) answers(buf []byte, due bool) (frames []byte, unconfirmed bool) {
	r.mu.Lock()
	pinged, ping, fresh := r.pinged, r.ping, r.fresh
	r.pinged, r.fresh = false, false
	if pinged || due {
		r.news = false // before seen is read: what comes later is news again
	}
	unconfirmed = r.news
	r.mu.Unlock()

	seen := r.seen()
	switch {
	case pinged:
		buf = wire.AppendPong(buf, wire.Pong{ID: ping.ID, Wall: time.Now().UnixNano(), Seen: seen})
	case due:
		buf = wire.AppendAck(buf, wire.Ack{Seen: seen})
	}
	if fresh {
		buf = wire.AppendInterest(buf, r.in.cfg.Interest())
	}
	return buf, unconfirmed
}

func (r *receiver) seen() uint64 {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	return r.number
}
