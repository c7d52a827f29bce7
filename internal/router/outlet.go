package router

import "kozo"

// Outlet is where the messages of one sender leave. It remembers who got the last
// one: the next one is usually of the same sort. It is not safe for concurrent
// use; different ones are.
type Outlet struct {
	router *Router
	frame  []byte // of the last message, to be written over

	// Who wants messages like sort, by the table of this number.
	table  uint64
	sort   sort
	locals []Local
	peers  []Peer
}

// sort is all of a message that filters look at.
type sort struct {
	kind         kozo.Kind
	typ, channel string
	from         kozo.RoleRef
}

// largeBody is the size of a body from which on it is not copied here: the
// outboxes of all peers share it.
const largeBody = 8 << 10

// Outlet returns a new outlet.
func (r *Router) Outlet() *Outlet { return &Outlet{router: r} }

// Send gives a message of a role of this node to every other role of the node
// that wants it, and to every peer with one that does. The message is encoded at
// most once. It is not kept, unlike its body.
func (o *Outlet) Send(m *kozo.Message) {
	t := o.router.present()
	for _, tap := range t.taps {
		tap.put(m)
	}
	if s := (sort{m.Kind, m.Type, m.Channel, m.From}); o.table != t.number || o.sort != s {
		o.look(t, m)
		o.table, o.sort = t.number, s
	}
	if len(o.locals) > 0 {
		shared := []kozo.Message{*m}
		for _, l := range o.locals {
			l.Put(shared...)
		}
	}
	if len(o.peers) == 0 {
		return
	}
	o.frame = o.router.encode(o.frame[:0], m)
	body := m.Body
	if len(body) < largeBody {
		o.frame, body = append(o.frame, body...), nil
	}
	for _, p := range o.peers {
		p.Offer(o.frame, body, m.Time)
	}
}

// look finds out who wants a message.
func (o *Outlet) look(t *table, m *kozo.Message) {
	clear(o.locals)
	clear(o.peers)
	o.locals, o.peers = o.locals[:0], o.peers[:0]
	t.locals.match(m, func(l local) {
		if l.name != m.From.Role {
			o.locals = append(o.locals, l.to)
		}
	})
	t.peers.match(m, func(p Peer) { o.peers = append(o.peers, p) })
}
