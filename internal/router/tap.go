package router

import (
	"slices"
	"sync"

	"kozo"
)

// What a tap holds for somebody who is slow to read: so many messages, and not
// more bytes unless it is one message.
const (
	tapLength = 1024
	tapSize   = 4 << 20
)

// Tap shows the messages that pass through this node: those that its roles send
// and those that arrive for them. A slow reader misses messages, which are
// counted, and slows nobody down.
type Tap struct {
	router  *Router
	filters []kozo.Filter
	ready   chan struct{}

	mu     sync.Mutex
	queue  []kozo.Message
	size   int // bytes in the queue
	missed uint64
}

// Tap begins to show the messages that match one of the filters, or all if there
// are none.
func (r *Router) Tap(filters []kozo.Filter) *Tap {
	t := &Tap{router: r, filters: filters, ready: make(chan struct{}, 1)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taps[t] = struct{}{}
	r.table.Store(nil)
	return t
}

// Close ends the tap.
func (t *Tap) Close() {
	t.router.mu.Lock()
	defer t.router.mu.Unlock()
	delete(t.router.taps, t)
	t.router.table.Store(nil)
}

func (t *Tap) put(m *kozo.Message) {
	if len(t.filters) > 0 && !slices.ContainsFunc(t.filters, func(f kozo.Filter) bool { return f.Match(m) }) {
		return
	}
	t.mu.Lock()
	size := Size(m)
	room := len(t.queue) < tapLength && t.size+size <= tapSize && t.missed == 0
	if len(t.queue) == 0 || room {
		t.queue = append(t.queue, *m)
		t.size += size
	} else {
		t.missed++
	}
	t.mu.Unlock()
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

// Ready gets a value when there is something to take.
func (t *Tap) Ready() <-chan struct{} { return t.ready }

// Take returns the messages that have passed since the last call, and how many
// were missed after them.
func (t *Tap) Take() (messages []kozo.Message, missed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	messages, missed = t.queue, t.missed
	t.queue, t.size, t.missed = nil, 0, 0
	return messages, missed
}
