package node_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A node connects to eight of its 20 peers at a time.
func TestANodeConnectsToAFewOfItsPeersAtATime(t *testing.T) {
	name := func(i int) string { return fmt.Sprintf("n%02d", i) }
	type step struct {
		at    time.Duration
		dials int64
	}
	for what, test := range map[string]struct {
		prepare func(t *testing.T, m *memory, name string)
		steps   []step
	}{
		"nobody answers": {
			func(t *testing.T, m *memory, name string) { m.hole(name) },
			[]step{{0, 8}, {900 * time.Millisecond, 8}, {1100 * time.Millisecond, 16}, {2100 * time.Millisecond, 20}, {9 * time.Second, 20}},
		},
		"they answer, and take long for the handshake": {
			func(t *testing.T, m *memory, name string) {
				l, err := m.host(name).Listen(":9001")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
			},
			[]step{{0, 8}, {4 * time.Second, 8}, {9 * time.Second, 8}, {11 * time.Second, 16}},
		},
	} {
		t.Run(what, func(t *testing.T) {
			inMemory(t, func(t *testing.T, m *memory) {
				const settings = "heartbeat: 60\nconnectionRetry: 600"
				w := newWorld(t, m, settings)
				var specs []spec
				for i := range 21 {
					specs = append(specs, spec{name: name(i)})
				}
				w.sys = w.parse(settings, specs)
				for _, s := range specs[1:] {
					test.prepare(t, m, s.name)
				}
				begun := time.Now()
				w.start(name(0))
				for _, s := range test.steps {
					time.Sleep(s.at - time.Since(begun))
					synctest.Wait()
					if n := m.dials.Load(); n != s.dials {
						t.Errorf("%d dials after %v, not %d", n, s.at, s.dials)
					}
				}
			})
		})
	}
}

// Whoever is in touch leaves its turn at once.
func TestPeersThatAreThereAreSoonAllConnected(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		specs := []spec{{name: "self"}}
		for i := range 20 {
			specs = append(specs, spec{name: fmt.Sprintf("n%02d", i), options: map[string]string{"selfToOthersConnectPolicy": "never"}})
		}
		const settings = "heartbeat: 60\nconnectionRetry: 600"
		w := newWorld(t, m, settings)
		w.sys = w.parse(settings, specs)
		for _, s := range specs[1:] {
			w.start(s.name)
		}
		w.start("self")
		w.within(900*time.Millisecond, "all to be connected", func() bool {
			for _, s := range specs[1:] {
				if !w.up("self", s.name) {
					return false
				}
			}
			return true
		})
	})
}
