package node_test

import (
	"strings"
	"testing"

	"kozo"
)

// What no message can match is no interest. A role that asks for it all the same
// does not keep its node from being heard.
func TestFiltersThatNothingCanMatch(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, quick, spec{name: "a"}, spec{name: "b"})
		w.allUp()
		w.mu.Lock()
		env := w.envs[ref("source", "b")]
		w.mu.Unlock()
		env.SetInterest([]kozo.Filter{
			{Type: strings.Repeat("x", kozo.MaxField+1)}, {Channel: "\xff"}, {Role: "two words"},
			{Node: kozo.NodeName(strings.Repeat("x", kozo.MaxName+1))}, {Kind: kozo.Log + 1}, {Type: "wanted"},
		})
		for _, when := range []string{"on the same connection", "on another one"} {
			w.send("a", "wanted", when)
			w.until("a message "+when, func() bool {
				for _, m := range w.received("b") {
					if m.Type == "wanted" && m.Body.Text() == when {
						return true
					}
				}
				return false
			})
			before := w.link("a", "b").Connects
			w.place.cut("a", "b")
			w.until("another connection", func() bool { return w.link("a", "b").Connects > before })
			w.allUp()
		}
	})
}
