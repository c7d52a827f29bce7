package link

import (
	"testing"

	"pgregory.net/rapid"

	"kozo"
)

func newLedger() *ledger { return &ledger{dropped: map[kozo.Cause]uint64{}} }

func TestWhatThePeerGotBeforeTheCutMovesToDelivered(t *testing.T) {
	l := newLedger()
	l.offered, l.written = 100, 100
	l.confirm(40)
	l.cut()
	if l.dropped[kozo.Cut] != 60 || l.delivered != 40 || l.inFlight() != 0 {
		t.Fatalf("%+v", l)
	}
	l.recover(60)
	if l.dropped[kozo.Cut] != 40 || l.delivered != 60 {
		t.Fatalf("%+v", l)
	}
	l.recover(100) // a second hello cannot change what is final
	if l.dropped[kozo.Cut] != 40 || l.delivered != 60 {
		t.Fatalf("%+v", l)
	}
}

func TestAPeerThatHasForgottenEverythingLeavesTheCutAsItIs(t *testing.T) {
	l := newLedger()
	l.offered, l.written = 10, 10
	l.cut()
	l.forget()
	l.recover(10)
	if l.dropped[kozo.Cut] != 10 || l.delivered != 0 {
		t.Fatalf("%+v", l)
	}
}

func TestAHelloWhoseAnswerWasLostChangesNothing(t *testing.T) {
	l := newLedger()
	l.offered, l.written = 10, 10
	l.cut()
	l.cut() // of a stream that never carried a message
	l.recover(7)
	if l.dropped[kozo.Cut] != 3 || l.delivered != 7 {
		t.Fatalf("%+v", l)
	}
}

// TestLedgerAlwaysAddsUp drives a ledger and a receiver with random events, and
// compares the ledger with what the receiver really got.
func TestLedgerAlwaysAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger()
		queued := 0
		var got, confirmed uint64 // number of the last message that arrived, and of those confirmed
		received := uint64(0)     // how many arrived
		up := false
		t.Repeat(map[string]func(*rapid.T){
			"offer": func(t *rapid.T) {
				n := rapid.IntRange(1, 5).Draw(t, "n")
				l.offered += uint64(n)
				queued += n
			},
			"drop": func(t *rapid.T) {
				n := rapid.IntRange(0, queued).Draw(t, "n")
				queued -= n
				l.drop(kozo.QueueFull, n)
			},
			"write": func(t *rapid.T) {
				if up {
					n := rapid.IntRange(0, queued).Draw(t, "n")
					queued -= n
					l.written += uint64(n)
				}
			},
			"arrive": func(t *rapid.T) {
				if up && l.written > 0 {
					from := max(got, l.cutTo, l.settled)
					n := rapid.Uint64Range(0, l.written-min(from, l.written)).Draw(t, "n")
					if n > 0 {
						got = from + n
						received += n
					}
				}
			},
			"confirm": func(*rapid.T) {
				if up {
					l.confirm(got)
					confirmed = got
				}
			},
			"cut": func(*rapid.T) {
				l.cut()
				up = false
			},
			"lost hello": func(*rapid.T) {
				if !up {
					l.cut()
				}
			},
			"hello": func(*rapid.T) {
				if !up {
					l.recover(got)
					confirmed = got
					up = true
					if l.delivered != received {
						t.Fatalf("delivered %d, received %d", l.delivered, received)
					}
				}
			},
			"": func(t *rapid.T) {
				if s := l.status(queued); !s.Balanced() {
					t.Fatalf("%+v", s)
				}
				if l.delivered > received {
					t.Fatalf("confirmed %d: delivered %d, but only %d arrived", confirmed, l.delivered, received)
				}
			},
		})
	})
}
