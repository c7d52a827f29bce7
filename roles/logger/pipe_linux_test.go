package logger

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kozo"
)

// A pipe that nobody reads, or not any more, is trouble like any other: the role
// tells the operator, goes on, and stops when it should.
func TestPipeThatNobodyReads(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "kozo.log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	role := start(t, pipe, kozo.Values{"flushEvery": 1})
	role.Deliver(say(kozo.Info, "first"))
	role.Wait("word that nobody reads", func() bool { return strings.Contains(role.Log(), "nobody reads it") })

	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	role.Wait("the next attempt", func() bool { return strings.Contains(role.Log(), "the log file is written again") })
	line := make([]byte, 100)
	n, err := reader.Read(line)
	if got, want := string(line[:n]), "timer1@clock: first\n"; !strings.HasPrefix(got, want) || err != nil {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}

	for range 20 { // more than a pipe holds
		role.Deliver(say(kozo.Info, strings.Repeat("x", 10<<10)))
	}
	role.Wait("word that the reader does not read", func() bool { return strings.Contains(role.Log(), "does not read") })
	if err := role.Stop(); err != nil {
		t.Error(err)
	}
}
