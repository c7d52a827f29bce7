package router

import "kozo"

// index finds who wants a message: it looks only at filters that agree with the
// message's kind and type.
type index[T any] struct {
	to     []T
	all    []entry               // any kind, any type
	byKind [kozo.Log + 1][]entry // any type
	byType map[string][]entry    // any kind
	byBoth map[kindType][]entry
}

type kindType struct {
	kind kozo.Kind
	typ  string
}

// entry is a filter of the subscriber number to.
type entry struct {
	to     int
	filter kozo.Filter
}

func (x *index[T]) add(to T, filters []kozo.Filter) {
	number := len(x.to)
	x.to = append(x.to, to)
	for _, f := range filters {
		e := entry{number, f}
		switch {
		case f.Kind > kozo.Log: // of a later version; no message can match it
		case f.Kind == kozo.AnyKind && f.Type == "":
			x.all = append(x.all, e)
		case f.Type == "":
			x.byKind[f.Kind] = append(x.byKind[f.Kind], e)
		case f.Kind == kozo.AnyKind:
			if x.byType == nil {
				x.byType = map[string][]entry{}
			}
			x.byType[f.Type] = append(x.byType[f.Type], e)
		default:
			if x.byBoth == nil {
				x.byBoth = map[kindType][]entry{}
			}
			key := kindType{f.Kind, f.Type}
			x.byBoth[key] = append(x.byBoth[key], e)
		}
	}
}

// match calls visit once for each subscriber with a filter that matches m.
func (x *index[T]) match(m *kozo.Message, visit func(T)) {
	var few [4]uint64 // no allocation for up to 256 subscribers
	seen := few[:]
	if len(x.to) > 64*len(few) {
		seen = make([]uint64, (len(x.to)+63)/64)
	}
	for _, list := range [...][]entry{
		x.byBoth[kindType{m.Kind, m.Type}], x.byKind[m.Kind], x.byType[m.Type], x.all,
	} {
		for i := range list {
			e := &list[i]
			word, bit := e.to/64, uint64(1)<<(e.to%64)
			if seen[word]&bit == 0 && e.filter.Match(m) {
				seen[word] |= bit
				visit(x.to[e.to])
			}
		}
	}
}
