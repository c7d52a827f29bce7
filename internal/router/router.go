// Package router decides who gets a message: which roles of this node, and which
// peers. It never forwards: what comes from a peer goes to local roles only.
//
// The filters of everybody are kept in an index by kind and type, so that the
// cost of a message does not grow with the filters that do not match it.
package router

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kozo"
)

// Peer takes encoded messages for another node. Offer must not block, nor keep
// frame.
type Peer interface {
	Offer(frame []byte, at time.Time)
}

// Local takes messages for a role of this node. Put must not block. size is the
// number of bytes for which the message counts.
type Local interface {
	Put(m kozo.Message, size int)
}

// Router knows the filters of the roles of this node and of its peers. It is
// safe for concurrent use; sending never waits for a change of filters.
type Router struct {
	encode func([]byte, *kozo.Message) []byte
	frames sync.Pool // of *[]byte

	table atomic.Pointer[table]

	mu     sync.Mutex // serialises changes
	locals map[kozo.RoleName]subscriber[Local]
	peers  map[kozo.NodeName]subscriber[Peer]
	taps   map[*Tap]struct{}
}

type subscriber[T any] struct {
	to      T
	filters []kozo.Filter
}

// table is what sending looks at. It never changes.
type table struct {
	locals index[local]
	peers  index[Peer]
	taps   []*Tap
}

type local struct {
	name kozo.RoleName
	to   Local
}

// New makes a router. encode appends the frame of a message to a buffer; it is
// called at most once per message.
func New(encode func([]byte, *kozo.Message) []byte) *Router {
	r := &Router{
		encode: encode,
		locals: map[kozo.RoleName]subscriber[Local]{},
		peers:  map[kozo.NodeName]subscriber[Peer]{},
		taps:   map[*Tap]struct{}{},
	}
	r.frames.New = func() any { return new([]byte) }
	r.table.Store(&table{})
	return r
}

// SetLocal replaces what a role of this node wants.
func (r *Router) SetLocal(name kozo.RoleName, to Local, filters []kozo.Filter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locals[name] = subscriber[Local]{to, slices.Clone(filters)}
	r.rebuild()
}

// SetPeer replaces what the roles of a peer want.
func (r *Router) SetPeer(name kozo.NodeName, to Peer, filters []kozo.Filter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[name] = subscriber[Peer]{to, slices.Clone(filters)}
	r.rebuild()
}

// Interest returns what the roles of this node want, without repetitions.
func (r *Router) Interest() []kozo.Filter {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []kozo.Filter
	for _, name := range slices.Sorted(maps.Keys(r.locals)) {
		for _, f := range r.locals[name].filters {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all
}

// rebuild makes a new table. The caller has the lock.
func (r *Router) rebuild() {
	t := &table{taps: slices.Collect(maps.Keys(r.taps))}
	for _, name := range slices.Sorted(maps.Keys(r.locals)) {
		s := r.locals[name]
		t.locals.add(local{name, s.to}, s.filters)
	}
	for _, name := range slices.Sorted(maps.Keys(r.peers)) {
		s := r.peers[name]
		t.peers.add(s.to, s.filters)
	}
	r.table.Store(t)
}

// Send gives a message of a role of this node to every other role of the node
// that wants it, and to every peer with one that does. The message is encoded at
// most once.
func (r *Router) Send(m *kozo.Message) {
	t := r.table.Load()
	t.deliver(m, m.From.Role)
	var frame *[]byte
	t.peers.match(m, func(p Peer) {
		if frame == nil {
			frame = r.frames.Get().(*[]byte)
			*frame = r.encode((*frame)[:0], m)
		}
		p.Offer(*frame, m.Time)
	})
	if frame != nil && cap(*frame) <= largestKept {
		r.frames.Put(frame)
	}
}

// largestKept is the largest buffer that is kept for the next message.
const largestKept = 64 << 10

// Deliver gives a message of a peer to the roles of this node that want it. It
// returns false if there is none.
func (r *Router) Deliver(m *kozo.Message) bool {
	return r.table.Load().deliver(m, "")
}

// deliver gives a message to local roles, except the one that sent it.
func (t *table) deliver(m *kozo.Message, sender kozo.RoleName) bool {
	for _, tap := range t.taps {
		tap.put(m)
	}
	wanted := false
	t.locals.match(m, func(l local) {
		if sender == "" || l.name != sender {
			wanted = true
			l.to.Put(*m, Size(m))
		}
	})
	return wanted
}

// overhead is what a message takes in memory beside its own bytes, roughly.
const overhead = 128

// Size is the number of bytes for which a message counts in an inbox.
func Size(m *kozo.Message) int {
	return overhead + len(m.Type) + len(m.Channel) + len(m.Body)
}
