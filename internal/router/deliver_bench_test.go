package router

import (
	"fmt"
	"testing"

	"kozo"
)

// BenchmarkDeliver gives messages of a peer to the roles of a node: one that
// wants them, beside others with more and more filters. Those of other types cost
// nothing; those that differ in nothing but the channel are asked one by one.
func BenchmarkDeliver(b *testing.B) {
	for _, differ := range []string{"type", "channel"} {
		for _, filters := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("differ=%s/filters=%d", differ, filters), func(b *testing.B) {
				r, _ := newRouter()
				r.SetLocal("wants", discardLocal{}, []kozo.Filter{{Kind: kozo.Event, Type: "tick"}})
				for i := range filters - 1 {
					f := kozo.Filter{Kind: kozo.Event, Type: fmt.Sprint("other", i)}
					if differ == "channel" {
						f.Type, f.Channel = "tick", fmt.Sprint("channel", i)
					}
					r.SetLocal(kozo.RoleName(fmt.Sprint("role", i)), discardLocal{}, []kozo.Filter{f})
				}
				m := message(kozo.Event, "tick", "here", "timer1")
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
