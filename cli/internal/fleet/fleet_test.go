//go:build unix

package fleet

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output can be read while it is written, and tells of each line.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	got  chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	o.got <- struct{}{}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) waitFor(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(o.String(), want) {
		select {
		case <-o.got:
		case <-deadline:
			t.Fatalf("no %q in\n%s", want, o)
		}
	}
}

func shell(name, script string) Member {
	return Member{Name: name, Path: "/bin/sh", Args: []string{"sh", "-c", script}}
}

func printer() (*output, Printer) {
	o := &output{got: make(chan struct{}, 10_000)}
	return o, Printer{
		Out:   o,
		Label: func(_ int, name string) string { return name + " | " },
		Error: func(line string) string { return "(" + line + ")" },
	}
}

func TestOneDiesAndTheOthersGoOn(t *testing.T) {
	o, p := printer()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, []Member{
			shell("short", "echo words; exit 3"),
			shell("longer", `trap 'echo bye; exit 0' TERM; echo oops >&2; echo up; while :; do sleep 0.05; done`),
		}, p)
	}()
	o.waitFor(t, "has ended: exit status 3")
	o.waitFor(t, "up")
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, want := range []string{"short | words\n", "longer | (oops)\n", "longer | bye\n"} {
		if !strings.Contains(o.String(), want) {
			t.Errorf("no %q in\n%s", want, o)
		}
	}
}

func TestAllDie(t *testing.T) {
	o, p := printer()
	err := Run(t.Context(), []Member{shell("a", "true"), {Name: "b", Path: "/no/such/program", Args: []string{"b"}}}, p)
	if !errors.Is(err, ErrAllEnded) {
		t.Errorf("Run: %v", err)
	}
	if !strings.Contains(o.String(), "no such file") {
		t.Errorf("nothing about the program that is not there:\n%s", o)
	}
}

// What has no end of line is printed all the same, and does not grow.
func TestLinesWithoutEnd(t *testing.T) {
	o, p := printer()
	_ = Run(t.Context(), []Member{
		shell("a", "head -c 300000 /dev/zero | tr '\\0' x; printf 'last words'"),
	}, p)
	if !strings.Contains(o.String(), "last words\n") {
		t.Errorf("the last words are missing")
	}
	for line := range strings.Lines(o.String()) {
		if len(line) > 2*maxLine+100 {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
}
