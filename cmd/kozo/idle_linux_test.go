package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// counters reads /proc/PID/io: how many reads a process has made, and how many
// bytes it has sent to the disk.
func counters(t *testing.T, pid int) (reads, written uint64) {
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
		case "write_bytes":
			_, _ = fmt.Sscan(value, &written)
		}
	}
	return reads, written
}

// TestIdleNodeWritesNothingToTheDisk looks at a node whose links are up and that
// has nothing to do, for a few hundred heartbeats.
func TestIdleNodeWritesNothingToTheDisk(t *testing.T) {
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
	for name, cmd := range n.nodes {
		reads, before := counters(t, cmd.Process.Pid)
		n.until(name+" to see many heartbeats", func() bool {
			now, _ := counters(t, cmd.Process.Pid)
			return now >= reads+50
		})
		if _, after := counters(t, cmd.Process.Pid); after != before {
			t.Errorf("%s wrote %d bytes to the disk", name, after-before)
		}
	}
}
