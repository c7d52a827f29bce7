//go:build unix

package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// fullPipe returns a pipe that can take nothing more until somebody reads.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var ends [2]int
	if err := syscall.Pipe(ends[:]); err != nil {
		t.Fatal(err)
	}
	for _, end := range ends {
		syscall.CloseOnExec(end)
	}
	if err := syscall.SetNonblock(ends[1], true); err != nil {
		t.Fatal(err)
	}
	for rest := []byte(strings.Repeat("x", 4096)); len(rest) > 0; {
		_, err := syscall.Write(ends[1], rest)
		if errors.Is(err, syscall.EAGAIN) {
			rest = rest[:len(rest)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(ends[0]), "reader"), os.NewFile(uintptr(ends[1]), "writer")
	t.Cleanup(func() {
		_ = r.Close()
		_ = w.Close()
	})
	return r, w
}

// TestNodeThatNobodyReads runs bob with an output that takes nothing: a stopped
// terminal, or a journal that hangs. All but the output goes on, and what he said
// is there as soon as somebody reads.
func TestNodeThatNobodyReads(t *testing.T) {
	n := newNetwork(t, build(t), "constant", "constant")
	r, w := fullPipe(t)
	n.start("carol")
	n.startOnto("bob", w, "--verbose")
	n.start("alice")
	up := func() bool { return n.link("alice", "bob").State == "up" && n.link("bob", "carol").State == "up" }
	n.until("the links", up)
	n.say("the first words")
	n.until("the logger to write", func() bool { return strings.Contains(n.heard(), "the first words") })

	// What happens to its links is what a node has most to say about.
	n.kill("carol", syscall.SIGKILL)
	n.until("bob to notice", func() bool { return n.link("bob", "carol").State != "up" })
	n.start("carol")
	n.until("the links again", up)
	was := n.ticks()
	n.until("ticks", func() bool { return n.ticks() >= was+10 })
	n.stop("bob", syscall.SIGTERM)

	n.startOnto("bob", w)
	n.until("the links after a new start", up)
	for range 6 { // more than waits to be printed
		n.say(strings.Repeat("on and on ", 6000))
	}
	n.say("the last words")
	n.until("the logger to write again", func() bool { return strings.Contains(n.heard(), "the last words") })
	said := ""
	n.until("all that was said", func() bool {
		text := make([]byte, 64<<10)
		got, err := r.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		said += string(text[:got])
		for _, want := range []string{"listening", "link up", "the last words", "lines that roles printed are lost"} {
			if !strings.Contains(said, want) {
				return false
			}
		}
		return true
	})
	n.stop("bob", syscall.SIGTERM)
}

// TestTestnetThatNobodyReads stops all nodes of a file while nobody takes their
// lines.
func TestTestnetThatNobodyReads(t *testing.T) {
	n := newNetwork(t, build(t), "constant", "constant")
	_, w := fullPipe(t)
	cmd := n.command("testnet", "--verbose", n.config)
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.nodes["testnet"] = cmd
	n.until("ticks", func() bool { return n.status("carol") != nil && n.ticks() >= 10 })
	n.stop("testnet", syscall.SIGTERM)
}
