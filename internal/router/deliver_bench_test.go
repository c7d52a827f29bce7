package router

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"kozo"
)

// BenchmarkDeliver gives messages of a peer to the roles of a node: one that
// wants them, beside others with more and more filters that differ from its own in
// one field.
func BenchmarkDeliver(b *testing.B) {
	differ := map[string]func(*kozo.Filter, string){
		"type":    func(f *kozo.Filter, other string) { f.Type = other },
		"channel": func(f *kozo.Filter, other string) { f.Channel = other },
		"sender":  func(f *kozo.Filter, other string) { f.Role, f.Node = kozo.RoleName(other), "here" },
	}
	for _, field := range slices.Sorted(maps.Keys(differ)) {
		for _, filters := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("differ=%s/filters=%d", field, filters), func(b *testing.B) {
				r, _ := newRouter()
				wanted := kozo.Filter{Kind: kozo.Event, Type: "tick"}
				r.SetLocal("wants", discardLocal{}, []kozo.Filter{wanted})
				for i := range filters - 1 {
					f := wanted
					differ[field](&f, fmt.Sprint("other", i))
					r.SetLocal(kozo.RoleName(fmt.Sprint("role", i)), discardLocal{}, []kozo.Filter{f})
				}
				m := message(kozo.Event, "tick", "hall", "timer1")
				b.ReportAllocs()
				for b.Loop() {
					if !r.Deliver(*m) {
						b.Fatal("nobody wants it")
					}
				}
			})
		}
	}
}

type discardLocal struct{}

func (discardLocal) Put(...kozo.Message) {}
