package hosts_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"kozo/internal/status"
)

// Twenty nodes are restarted one after the other, every other one as by a power
// cut. All links are whole again after each, and no message is told twice, in
// another order, or vanishes without being counted.
func TestRollingRestarts(t *testing.T) {
	t.Parallel()
	const size = 20
	var members []member
	var names []string
	for i := range size {
		name := fmt.Sprintf("node%d", i)
		names = append(names, name)
		members = append(members, member{name: name, every: 0.5})
	}
	w := newWorld(t, "peer", members...)
	w.start(names...)
	t.Logf("%d links after %v", size*(size-1), w.whole(3*back))
	born := map[string]int{} // before the first number of a node
	for i, name := range names {
		sig := []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[i%2]
		w.end(name, sig)
		born[name] = int(time.Now().UnixMicro())
		w.start(name)
		t.Logf("%s after %v: whole again after %v", name, sig, w.whole(back))
	}
	w.flow(names[size-1], names[0], 5)
	w.hush()
	lost := 0
	for i, name := range names {
		s := w.status(name)
		for _, l := range s.Links {
			if !l.Out.Balanced() || !l.In.Balanced() {
				t.Errorf("the accounts of %s for %s: %+v %+v", name, l.Peer, l.Out, l.In)
			}
			lost += int(status.Sum(l.Out.Dropped))
			w.inOrder(name, l.Peer)
		}
		// Those that were restarted before it have been there all its life.
		for _, other := range names[:i] {
			got := 0
			for _, n := range w.numbers(other, name) {
				if n >= born[name] {
					got++
				}
			}
			if out := w.link(name, other).Out; out.Delivered != uint64(got) || out.Sent == 0 {
				t.Errorf("%s to %s: %+v, %d are there", name, other, out, got)
			}
		}
	}
	t.Logf("%d messages were lost and counted", lost)
}
