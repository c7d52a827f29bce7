package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// counters reads /proc/PID/io: how many reads and writes a process has made, and
// how many bytes it has sent to the disk.
func counters(t *testing.T, pid int) (reads, writes, written uint64) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		t.Skipf("this kernel does not say what a process writes: %v", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "syscr":
			_, _ = fmt.Sscan(value, &reads)
		case "syscw":
			_, _ = fmt.Sscan(value, &writes)
		case "write_bytes":
			_, _ = fmt.Sscan(value, &written)
		}
	}
	return reads, writes, written
}

// TestIdleNodeDoesNoMoreThanHeartbeats looks at nodes whose links are up and that
// have nothing to do, for dozens of heartbeats: nothing goes to the disk, and the
// network is read from and written to no more often than it must be.
func TestIdleNodeDoesNoMoreThanHeartbeats(t *testing.T) {
	n := newNetwork(t, build(t), "constant", "constant")
	text, err := os.ReadFile(n.config)
	if err != nil {
		t.Fatal(err)
	}
	quiet := strings.NewReplacer("heartbeat: 1\n", "heartbeat: 0.1\n", "timer: {tick: 0.1}", "timer: {tick: 3600}").Replace(string(text))
	if err := os.WriteFile(n.config, []byte(quiet), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		n.start(name)
	}
	n.until("the links", func() bool {
		return n.link("alice", "bob").State == "up" && n.link("bob", "carol").State == "up"
	})
	var allReads, allWrites float64
	for name, cmd := range n.nodes {
		pid := cmd.Process.Pid
		reads, writes, before := counters(t, pid)
		begin := time.Now()
		n.until(name+" to see many heartbeats", func() bool {
			now, _, _ := counters(t, pid)
			return now >= reads+120
		})
		readsNow, writesNow, after := counters(t, pid)
		if after != before {
			t.Errorf("%s wrote %d bytes to the disk", name, after-before)
		}
		beats := 10 * time.Since(begin).Seconds()
		allReads += float64(readsNow-reads) / beats
		allWrites += float64(writesNow-writes) / beats
	}
	// A heartbeat is a write and two reads at each end of each connection, since
	// that which finds nothing more is a read too. There are six at most.
	if t.Logf("%.1f reads and %.1f writes a heartbeat", allReads, allWrites); allReads > 24 || allWrites > 12 {
		t.Errorf("three idle nodes make %.1f reads and %.1f writes a heartbeat, not 24 and 12", allReads, allWrites)
	}
}
