package link

import (
	"kozo"
	"kozo/internal/status"
)

// ledger counts what happens to the messages of a link. Its owner has the lock.
//
// Messages that are put on a stream are numbered from 1. Of these, the first
// `settled` have got their fate; the ones after them, up to `written`, were
// written on the current stream, or the last one, and are not confirmed. A new
// stream begins to count where the peer does, so what is sent again gets a
// number again.
type ledger struct {
	offered   uint64
	delivered uint64
	dropped   map[kozo.Cause]uint64

	written uint64
	settled uint64

	// Since the last stream ended, the messages from cutFrom+1 to cutTo were
	// given up. They move to delivered if the peer says that it got them after
	// all.
	cutFrom, cutTo uint64
}

func (l *ledger) drop(cause kozo.Cause, n int) {
	if n > 0 {
		l.dropped[cause] += uint64(n)
	}
}

// confirm notes that the peer has got all messages up to number seen, and returns
// how many of these it is news for.
func (l *ledger) confirm(seen uint64) int {
	seen = min(seen, l.written) // a peer cannot confirm what was never sent
	if seen <= l.settled {
		return 0
	}
	n := seen - l.settled
	l.delivered += n
	l.settled = seen
	return int(n)
}

// inFlight is how many messages are written and not confirmed.
func (l *ledger) inFlight() uint64 { return l.written - l.settled }

// giveUp counts as cut the n oldest messages in flight: the stream has ended, and
// the next one comes too late for them.
func (l *ledger) giveUp(n int) {
	if n == 0 {
		return
	}
	if l.cutTo == 0 {
		l.cutFrom = l.settled
	}
	l.settled += uint64(n)
	l.cutTo = l.settled
	l.drop(kozo.Cut, n)
}

// resume begins a stream whose hello said sent, and was answered by the same run
// of the peer with seen. It returns how many of the messages in flight have
// arrived; the others are in flight no more, but are to be sent again.
func (l *ledger) resume(sent, seen uint64) (arrived int) {
	seen = min(seen, l.written)
	if late := min(seen, l.cutTo); late > l.cutFrom {
		l.dropped[kozo.Cut] -= late - l.cutFrom
		l.delivered += late - l.cutFrom
	}
	arrived = l.confirm(seen)
	l.begin(max(sent, seen))
	return arrived
}

// begin makes what was given up final, and the next message that is put on a
// stream the one after number start.
func (l *ledger) begin(start uint64) {
	l.cutFrom, l.cutTo = 0, 0
	l.written, l.settled = start, start
}

func (l *ledger) status(queued, kept int) status.Ledger {
	return status.Ledger{
		Sent: l.offered, Delivered: l.delivered,
		Queued: uint64(queued), InFlight: uint64(kept),
		Dropped: counts(l.dropped),
	}
}

// counts copies the causes that have happened.
func counts(dropped map[kozo.Cause]uint64) map[string]uint64 {
	var out map[string]uint64
	for cause, n := range dropped {
		if n == 0 {
			continue
		}
		if out == nil {
			out = map[string]uint64{}
		}
		out[string(cause)] = n
	}
	return out
}
