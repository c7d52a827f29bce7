package link

import (
	"math"
	"testing"

	"kozo"
)

func newLedger() *ledger { return &ledger{dropped: map[kozo.Cause]uint64{}} }

func TestWhatWasGivenUpMovesToDeliveredIfThePeerGotIt(t *testing.T) {
	l := newLedger()
	l.offered, l.written = 100, 100
	if n := l.confirm(40); n != 40 {
		t.Fatalf("it was news for %d", n)
	}
	l.giveUp(20)
	l.giveUp(10) // a little later
	if l.dropped[kozo.Cut] != 30 || l.delivered != 40 || l.inFlight() != 30 || l.settled != 70 {
		t.Fatalf("%+v", l)
	}
	if n := l.resume(70, 60); n != 0 || l.dropped[kozo.Cut] != 10 || l.delivered != 60 || l.inFlight() != 0 || l.written != 70 {
		t.Fatalf("%d, %+v", n, l)
	}
	l.written += 30         // they are sent again
	l.resume(70, 100)       // and have all arrived
	l.giveUp(0)             // of an end that cut nothing
	_ = l.resume(100, 1000) // a second hello cannot change what is final
	if l.dropped[kozo.Cut] != 10 || l.delivered != 90 || l.written != 100 {
		t.Fatalf("%+v", l)
	}
}

func TestWhatArrivedBeforeTheEndIsNotSentAgain(t *testing.T) {
	l := newLedger()
	l.offered, l.written = 10, 10
	l.confirm(2)
	l.giveUp(3)
	if n := l.resume(5, 7); n != 2 || l.delivered != 7 || l.dropped[kozo.Cut] != 0 || l.written != 7 || l.settled != 7 {
		t.Fatalf("%d, %+v", n, l)
	}
}

func TestWhatAPeerSaysCannotBreakTheLedger(t *testing.T) {
	for _, seen := range []uint64{0, 1, 5, 6, math.MaxUint64} {
		l := newLedger()
		l.offered, l.written = 10, 10
		l.confirm(3)
		l.giveUp(3)
		n := l.resume(6, seen)
		if kept := 4 - n; kept < 0 || !l.status(0, kept).Balanced() || l.written < 6 || l.written > 10 || l.inFlight() != 0 {
			t.Errorf("seen %d: %d, %+v", seen, n, l)
		}
		if l.confirm(math.MaxUint64) != 0 {
			t.Errorf("seen %d: it confirms what was not written", seen)
		}
	}
}
