package router

import (
	"slices"

	"kozo"
)

// index finds who wants a message. Filters that set the same fields have one map,
// with the filter itself as the key: so a message is looked up once for every
// combination of fields that somebody uses, whatever the number of filters.
type index[T any] struct {
	to     []T
	groups []group
}

// group has the filters that set the same fields, and who has them: numbers of
// subscribers, in order.
type group struct {
	kind, typ, channel, role, node bool // which are set

	subscribers map[kozo.Filter][]int
}

func (x *index[T]) add(to T, filters []kozo.Filter) {
	number := len(x.to)
	x.to = append(x.to, to)
	for _, f := range filters {
		g := x.group(f)
		if l := g.subscribers[f]; len(l) == 0 || l[len(l)-1] != number {
			g.subscribers[f] = append(l, number)
		}
	}
}

// group returns the group of f.
func (x *index[T]) group(f kozo.Filter) *group {
	kind, typ, channel, role, node := f.Kind != kozo.AnyKind, f.Type != "", f.Channel != "", f.Role != "", f.Node != ""
	for i := range x.groups {
		if g := &x.groups[i]; g.kind == kind && g.typ == typ && g.channel == channel && g.role == role && g.node == node {
			return g
		}
	}
	x.groups = append(x.groups, group{kind, typ, channel, role, node, map[kozo.Filter][]int{}})
	return &x.groups[len(x.groups)-1]
}

// find returns those with the one filter of the group that matches m.
func (g *group) find(m *kozo.Message) []int {
	var f kozo.Filter
	if g.kind {
		f.Kind = m.Kind
	}
	if g.typ {
		f.Type = m.Type
	}
	if g.channel {
		f.Channel = m.Channel
	}
	if g.role {
		f.Role = m.From.Role
	}
	if g.node {
		f.Node = m.From.Node
	}
	return g.subscribers[f]
}

// match calls visit once for each subscriber with a filter that matches m, in the
// order in which they were added.
func (x *index[T]) match(m *kozo.Message, visit func(T)) {
	var few [8][]int
	lists := few[:0]
	for i := range x.groups {
		if l := x.groups[i].find(m); len(l) > 0 {
			lists = append(lists, l)
		}
	}
	for len(lists) > 1 {
		next := lists[0][0]
		for _, l := range lists[1:] {
			next = min(next, l[0])
		}
		visit(x.to[next])
		for i := range lists {
			if lists[i][0] == next {
				lists[i] = lists[i][1:]
			}
		}
		lists = slices.DeleteFunc(lists, func(l []int) bool { return len(l) == 0 })
	}
	if len(lists) == 1 {
		for _, number := range lists[0] {
			visit(x.to[number])
		}
	}
}
