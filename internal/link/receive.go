package link

import (
	"errors"
	"io"
	"slices"

	"kozo"
	"kozo/internal/wire"
)

// read works off frames until the stream ends.
func (r *receiver) read(reader *wire.Reader) error {
	for {
		typ, payload, err := reader.Next()
		if err != nil {
			if _, ok := errors.AsType[*wire.TooLarge](err); !ok {
				if errors.Is(err, io.EOF) {
					return errors.New("the peer closed the connection")
				}
				return err
			}
			if typ != wire.TypeMessage {
				continue
			}
			if err := r.receive(1, func() tally { return tally{dropped: 1, cause: kozo.Oversize} }); err != nil {
				return err
			}
			continue
		}
		switch typ {
		case wire.TypeMessage:
			if err := r.take(reader, payload); err != nil {
				return err
			}
		case wire.TypePing:
			p, err := wire.ParsePing(payload)
			if err != nil {
				return err
			}
			r.note(func() { r.pinged, r.ping = true, p })
		case wire.TypeBlocks:
			blocks, err := wire.ParseBlocks(payload)
			if err != nil {
				return err
			}
			if r.current() {
				r.in.cfg.OnBlocks(blocks)
			}
		case wire.TypeBye:
			return byeError(payload)
		}
	}
}

// current says whether no newer stream has taken over.
func (r *receiver) current() bool {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	return r.in.current == r
}

// Messages that come together and are of the same sort are delivered together:
// one lock and one wake-up for all of them, and one copy of their bytes.
const (
	mostTogether  = 128
	bytesTogether = 28 << 10 // the runtime allocates no more than this cheaply
)

// take receives the message in payload, and those like it that are there too.
func (r *receiver) take(reader *wire.Reader, payload []byte) error {
	head, err := r.names.Head(payload)
	if err != nil {
		return r.receive(1, func() tally { return tally{dropped: 1, cause: kozo.Undecodable} })
	}
	frames, n := reader.Run(head, mostTogether, bytesTogether)
	if !reader.Keep() {
		frames = slices.Clone(frames)
	}
	return r.receive(n, func() tally { return r.deliver(frames, n) })
}

// tally is the fate of messages that were received together.
type tally struct {
	accepted, undecodable, dropped uint64
	cause                          kozo.Cause // of those that were dropped
}

// receive counts n messages, unless a newer stream has taken over, and delivers
// them.
func (r *receiver) receive(n int, deliver func() tally) error {
	in := r.in
	in.mu.Lock()
	if in.current != r { // the opener sends them again on the newer stream
		left := r.left
		in.mu.Unlock()
		if left {
			return nil
		}
		return ErrReplaced
	}
	r.number += uint64(n)
	in.got = r.number
	in.delivering = true
	in.mu.Unlock()

	t := deliver()
	in.mu.Lock()
	in.accepted += t.accepted
	if t.undecodable > 0 {
		in.dropped[kozo.Undecodable] += t.undecodable
	}
	if t.dropped > 0 {
		in.dropped[t.cause] += t.dropped
	}
	in.delivering = false
	in.delivered.Broadcast()
	in.mu.Unlock()

	r.mu.Lock()
	first := !r.news
	r.news = true
	r.mu.Unlock()
	if first {
		signal(r.wake)
	}
	return nil
}

// deliver gives n messages of one sort to the roles, which may keep what they get,
// and the frames with it.
func (r *receiver) deliver(frames []byte, n int) (t tally) {
	messages := make([]kozo.Message, n)
	good := messages[:0]
	for range n {
		var payload []byte
		payload, frames = wire.Cut(frames)
		m := &messages[len(good)]
		if r.names.Parse(m, payload) != nil {
			t.undecodable++
			continue
		}
		m.From.Node = r.in.cfg.Peer // what the connection proved, whatever the message says
		good = messages[:len(good)+1]
	}
	switch {
	case len(good) == 0:
	case r.in.cfg.Deliver(good...):
		t.accepted = uint64(len(good))
	default:
		t.dropped, t.cause = uint64(len(good)), kozo.Refused
	}
	return t
}
