package link

import (
	"kozo"
	"kozo/internal/status"
)

// ledger counts what happens to the messages of a link. Its owner has the lock.
//
// Messages that are put on a stream are numbered from 1. Of these, the first
// `settled` have got their fate; the ones after them, up to `written`, are in
// flight while a stream is up.
type ledger struct {
	offered   uint64
	delivered uint64
	dropped   map[kozo.Cause]uint64

	written uint64
	settled uint64

	// The last end of a stream cut the messages from cutFrom+1 to cutTo. They
	// move to delivered if the peer says that it got them after all.
	cutFrom, cutTo uint64
}

func (l *ledger) drop(cause kozo.Cause, n int) {
	if n > 0 {
		l.dropped[cause] += uint64(n)
	}
}

// confirm notes that the peer has got all messages up to number seen.
func (l *ledger) confirm(seen uint64) {
	seen = min(seen, l.written) // a peer cannot confirm what was never sent
	if seen > l.settled {
		l.delivered += seen - l.settled
		l.settled = seen
	}
}

func (l *ledger) inFlight() uint64 { return l.written - l.settled }

// cut counts all that is in flight as cut.
func (l *ledger) cut() {
	if n := l.inFlight(); n > 0 {
		l.dropped[kozo.Cut] += n
		l.cutFrom, l.cutTo = l.settled, l.written
		l.settled = l.written
	}
}

// recover corrects the last cut after the peer said in its hello that it got
// all messages up to number seen.
func (l *ledger) recover(seen uint64) {
	seen = min(seen, l.cutTo)
	if seen > l.cutFrom {
		n := seen - l.cutFrom
		l.dropped[kozo.Cut] -= n
		l.delivered += n
	}
	l.forget()
}

// forget makes the last cut final.
func (l *ledger) forget() { l.cutFrom, l.cutTo = 0, 0 }

func (l *ledger) status(queued int) status.Ledger {
	return status.Ledger{
		Sent: l.offered, Delivered: l.delivered,
		Queued: uint64(queued), InFlight: l.inFlight(),
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
