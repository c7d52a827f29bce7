package node

import (
	"testing"
	"testing/synctest"
	"time"

	"kozo/internal/turns"
)

// A node connects to a few peers at a time. Those that do not answer hold the
// others up for a moment only, and those that do keep their turn until they are done.
func TestPeersThatDoNotAnswerLeaveTheirTurnToOthers(t *testing.T) {
	for name, test := range map[string]struct {
		answer bool
		want   time.Duration
	}{
		"nobody there": {false, turnAsking},
		"busy":         {true, turnProving},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Node{turns: turns.New(turnsMost)}
				begun := time.Now()
				for range turnsMost {
					p := &peer{node: n}
					done, err := p.takeTurn(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					defer done()
					if test.answer {
						p.answered()
					}
				}
				if took := time.Since(begun); took != 0 {
					t.Errorf("the first turns came after %v", took)
				}
				next := &peer{node: n}
				next.answered() // without a turn this changes nothing
				done, err := next.takeTurn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				done()
				if took := time.Since(begun); took != test.want {
					t.Errorf("the next turn came after %v, not %v", took, test.want)
				}
			})
		})
	}
}
