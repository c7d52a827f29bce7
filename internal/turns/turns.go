// Package turns lets only so many of a kind go on at a time, first come, first
// served. A node has it for the connections that it makes: a handshake is work
// for the processor, and a node that begins with all of its peers at once may be
// done with none of them before they lose their patience, and begin again.
//
// A turn ends by itself after a time that is set when it begins, so that whoever
// waits for somebody who is not there keeps nobody else waiting for long.
package turns

import (
	"context"
	"sync"
	"time"
)

// Turns gives turns. It is safe for concurrent use.
type Turns struct{ taken chan struct{} }

// New makes one that gives at most so many turns at a time.
func New(most int) *Turns { return &Turns{taken: make(chan struct{}, most)} }

// Turn is the right to go on. Its methods may be called at any time, and by
// several goroutines at once.
type Turn struct {
	turns *Turns

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// Take waits for a turn, which ends after the time given unless it is ended
// before. The error is that of ctx, if it is done sooner.
func (t *Turns) Take(ctx context.Context, most time.Duration) (*Turn, error) {
	select {
	case t.taken <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	turn := &Turn{turns: t}
	turn.mu.Lock()
	defer turn.mu.Unlock()
	turn.timer = time.AfterFunc(most, turn.End)
	return turn, nil
}

// Extend lets a turn that is not over go on for the time given, from now on.
func (t *Turn) Extend(most time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.timer.Reset(most)
	}
}

// End ends the turn, unless it is over.
func (t *Turn) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.over = true
	t.timer.Stop()
	<-t.turns.taken
}
