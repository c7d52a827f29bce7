package node_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"kozo/internal/extern"
)

// programs finds the transports that are programs; nothing is run if none is
// wanted.
func programs(t testing.TB) *extern.Set {
	set := extern.New(extern.Dirs{Transports: []string{"../../examples/transports"}})
	t.Cleanup(set.Close)
	return set
}

// programOf finds the process of a transport of a node.
func programOf(t *testing.T, node string) int {
	t.Helper()
	found, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range found {
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		if !bytes.Contains(cmdline, []byte("pytcp.py")) || !bytes.Contains(environ, []byte("KOZO_NODE="+node+"\x00")) {
			continue
		}
		if rest := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); rest[1] == strconv.Itoa(os.Getpid()) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			return pid
		}
	}
	t.Fatalf("the program of %s is not found", node)
	return 0
}

// TestTransportThatIsAProgram is two nodes whose links go through programs, with
// cuts on the way and programs that are killed.
func TestTransportThatIsAProgram(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("there is no /proc, in which the program could be found")
	}
	w := newWorld(t, newSockets(t), quick, spec{name: "a", typ: "pytcp"}, spec{name: "b", typ: "pytcp"})
	w.allUp()
	arrives := func(what string) {
		t.Helper()
		for _, ends := range [][2]string{{"a", "b"}, {"b", "a"}} {
			w.send(ends[0], "x", what)
			w.until("a message "+what, func() bool {
				for _, m := range w.received(ends[1]) {
					if m.From == ref("source", ends[0]) && m.Body.Text() == what {
						return true
					}
				}
				return false
			})
		}
	}
	arrives("at first")
	w.send("a", "x", strings.Repeat("large", 200_000))

	connects := w.link("a", "b").Connects
	w.place.cut("a", "b")
	w.until("another connection", func() bool { return w.link("a", "b").Connects > connects })
	w.allUp()
	arrives("after the cut")

	connects = w.link("a", "b").Connects
	killed := programOf(t, "a")
	process, err := os.FindProcess(killed)
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.until("the status to say why", func() bool {
		return strings.Contains(w.node("a").Status().Transports[0].Error, "killed")
	})
	w.until("another connection", func() bool { return w.link("a", "b").Connects > connects })
	w.allUp()
	if programOf(t, "a") == killed {
		t.Error("the program is the same")
	}
	w.until("the status to be well again", func() bool {
		s := w.node("a").Status().Transports[0]
		return s.Error == "" && s.Listens != ""
	})
	arrives("after the program was killed")
	for _, ends := range [][2]string{{"a", "b"}, {"b", "a"}} {
		w.until("the account to be settled", func() bool { return w.link(ends[0], ends[1]).Out.InFlight == 0 })
		if l := w.link(ends[0], ends[1]); !l.Out.Balanced() || !l.In.Balanced() {
			t.Errorf("link %s→%s: %+v", ends[0], ends[1], l)
		}
	}
}
