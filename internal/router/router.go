// Package router decides who gets a message: which roles of this node, and which
// peers. It never forwards: what comes from a peer goes to local roles only.
//
// The filters of everybody are kept in an index by the fields that they set, so
// that the cost of a message does not grow with the filters that do not match it.
package router

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kozo"
)

// Peer takes encoded messages for another node, in two parts: head, which is to
// be copied, and body, which may be kept and be empty. Offer must not block, nor
// change them.
type Peer interface {
	Offer(head, body []byte, at time.Time)
}

// Local takes messages for a role of this node. Put must not block. It may keep
// the slice, which others have too, and does not change it.
type Local interface {
	Put(messages ...kozo.Message)
}

// Router knows the filters of the roles of this node and of its peers. It is
// safe for concurrent use.
type Router struct {
	encode func([]byte, *kozo.Message) []byte

	// table is nil after a change, until somebody needs it: a thousand changes
	// in a row, as when a large network starts, cost one table.
	table atomic.Pointer[table]

	mu     sync.Mutex
	tables uint64 // made so far
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
	number uint64 // every table has another one, and none has 0
	locals index[local]
	peers  index[Peer]
	taps   []*Tap
}

type local struct {
	name kozo.RoleName
	to   Local
}

// New makes a router. encode appends the frame of a message, up to its body, to a
// buffer; it is called at most once per message.
func New(encode func([]byte, *kozo.Message) []byte) *Router {
	return &Router{
		encode: encode,
		locals: map[kozo.RoleName]subscriber[Local]{},
		peers:  map[kozo.NodeName]subscriber[Peer]{},
		taps:   map[*Tap]struct{}{},
	}
}

// SetLocal replaces what a role of this node wants.
func (r *Router) SetLocal(name kozo.RoleName, to Local, filters []kozo.Filter) {
	set(r, r.locals, name, subscriber[Local]{to, tidy(filters)})
}

// SetPeer replaces what the roles of a peer want.
func (r *Router) SetPeer(name kozo.NodeName, to Peer, filters []kozo.Filter) {
	set(r, r.peers, name, subscriber[Peer]{to, tidy(filters)})
}

// set changes a subscriber. A peer says the same at each connection, which is no
// change.
func set[N ~string, T comparable](r *Router, all map[N]subscriber[T], name N, s subscriber[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, known := all[name]
	if known && old.to == s.to && slices.Equal(old.filters, s.filters) {
		return
	}
	all[name] = s
	r.table.Store(nil)
}

// Interest returns what the roles of this node want, in order and without
// repetitions.
func (r *Router) Interest() []kozo.Filter {
	r.mu.Lock()
	var all []kozo.Filter
	for _, l := range r.locals {
		all = append(all, l.filters...)
	}
	r.mu.Unlock()
	return tidy(all)
}

// Wanted says whether a role of this node wants a message, the sender left out,
// and returns the peers with one that does, in order. It is for people who ask:
// Send does not need it.
func (r *Router) Wanted(m *kozo.Message) (local bool, peers []kozo.NodeName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	matches := func(f kozo.Filter) bool { return f.Match(m) }
	for name, s := range r.locals {
		local = local || name != m.From.Role && slices.ContainsFunc(s.filters, matches)
	}
	for name, s := range r.peers {
		if slices.ContainsFunc(s.filters, matches) {
			peers = append(peers, name)
		}
	}
	slices.Sort(peers)
	return local, peers
}

// tidy returns a copy of the filters that a message can match, in order and
// without repetitions. Peers would not take the others.
func tidy(filters []kozo.Filter) []kozo.Filter {
	filters = slices.DeleteFunc(slices.Clone(filters), func(f kozo.Filter) bool { return f.Check() != nil })
	slices.SortFunc(filters, func(a, b kozo.Filter) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Channel, b.Channel),
			cmp.Compare(a.Role, b.Role), cmp.Compare(a.Node, b.Node))
	})
	return slices.Compact(filters)
}

// present returns the table for the filters as they are now.
func (r *Router) present() *table {
	if t := r.table.Load(); t != nil {
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.table.Load(); t != nil { // somebody was faster
		return t
	}
	r.tables++
	t := &table{number: r.tables, taps: slices.Collect(maps.Keys(r.taps))}
	for _, name := range slices.Sorted(maps.Keys(r.locals)) {
		s := r.locals[name]
		t.locals.add(local{name, s.to}, s.filters)
	}
	for _, name := range slices.Sorted(maps.Keys(r.peers)) {
		s := r.peers[name]
		t.peers.add(s.to, s.filters)
	}
	r.table.Store(t)
	return t
}

// Deliver gives messages of a peer to the roles of this node that want them. All
// have the same kind, type, channel and sender, so who wants one wants all. It
// returns false if there is nobody. The slice must not be changed any more.
func (r *Router) Deliver(messages ...kozo.Message) bool {
	t := r.present()
	for _, tap := range t.taps {
		for i := range messages {
			tap.put(&messages[i])
		}
	}
	wanted := false
	t.locals.match(&messages[0], func(l local) {
		wanted = true
		l.to.Put(messages...)
	})
	return wanted
}

// overhead is what a message takes in memory beside its own bytes, roughly.
const overhead = 128

// Size is the number of bytes for which a message counts in an inbox.
func Size(m *kozo.Message) int {
	return overhead + len(m.Type) + len(m.Channel) + len(m.Body)
}
