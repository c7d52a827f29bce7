package main

import (
	"context"
	"sync"
	"time"

	"kozo"
	"kozo/internal/status"
)

// tally is what the pulses of a hive count together: a role on each node that
// sends a message a second and takes those of all others.
type tally struct {
	mu      sync.Mutex
	flowing bool
	taken   uint64
}

func newTally() *tally { return &tally{} }

// flow lets messages flow, or not.
func (t *tally) flow(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flowing = on
}

const pulseType = "pulse"

func (t *tally) roleType() kozo.RoleType {
	return kozo.DefineRole(pulseType, "Sends an event a second, when it should, and counts those of others.",
		func(struct{}) (kozo.Role, error) { return pulse{t}, nil })
}

type pulse struct{ tally *tally }

func (pulse) Interest() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Event, Type: pulseType}}
}

func (p pulse) Publishes() []kozo.Filter { return p.Interest() }

func (p pulse) Run(ctx context.Context, env *kozo.Env) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-env.Inbox.Ready():
			for {
				if _, ok := env.Inbox.TryReceive(); !ok {
					break
				}
				p.tally.mu.Lock()
				p.tally.taken++
				p.tally.mu.Unlock()
			}
		case <-tick.C:
			p.tally.mu.Lock()
			flowing := p.tally.flowing
			p.tally.mu.Unlock()
			if !flowing {
				continue
			}
			if err := env.Event(pulseType, nil); err != nil {
				return err
			}
		}
	}
}

// losses is the account of a rolling restart.
type losses struct {
	Sent    uint64 `json:"sent"`    // messages offered to links
	Taken   uint64 `json:"taken"`   // by the roles at the other ends
	Counted uint64 `json:"counted"` // drops that the nodes have counted
}

// lost is how many messages have not arrived.
func (l losses) lost() uint64 { return l.Sent - l.Taken }

// calm says whether nothing is on its way any more.
func (h *hive) calm() bool {
	for _, n := range h.running {
		s := n.Status()
		for _, l := range s.Links {
			if l.Out.Queued+l.Out.InFlight > 0 {
				return false
			}
		}
		for _, r := range s.Roles {
			if r.Inbox.Queued > 0 {
				return false
			}
		}
	}
	return true
}

// losses adds up the accounts of all nodes that run or have run.
func (h *hive) losses() losses {
	all := h.ended
	for _, n := range h.running {
		all = append(all, n.Status())
	}
	var sum losses
	for _, n := range all {
		for _, l := range n.Links {
			sum.Sent += l.Out.Sent
			sum.Counted += status.Sum(l.Out.Dropped) + status.Sum(l.In.Dropped)
		}
		for _, r := range n.Roles {
			sum.Counted += status.Sum(r.Inbox.Dropped)
		}
	}
	h.tally.mu.Lock()
	defer h.tally.mu.Unlock()
	sum.Taken = h.tally.taken
	return sum
}
