// Package fleet runs several programs at once and prints what they say, every
// line with the name of the one that said it.
package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Member is a program to run.
type Member struct {
	Name string
	Path string   // of the executable
	Args []string // the first one is what the program sees as its own name
	Env  []string // as in os/exec; nil means that of this process
}

// Printer decides how lines look. Both functions may be called from several
// goroutines at once.
type Printer struct {
	Out   io.Writer
	Label func(member int, name string) string // what stands before the lines of a member
	Error func(line string) string             // for a line of the standard error
}

// Grace is how long programs have to stop when they are asked to.
const Grace = 4 * time.Second

// ErrAllEnded says that no program is left although nobody asked them to stop.
var ErrAllEnded = errors.New("every node has ended")

// Run runs the programs until ctx is done and then stops them, with the signal
// to terminate where there is one. When one ends before that it says so, and the
// others go on; when all have ended it returns ErrAllEnded.
func Run(ctx context.Context, members []Member, p Printer) error {
	out := &sharedWriter{w: p.Out}
	var running sync.WaitGroup
	for i, m := range members {
		label := p.Label(i, m.Name)
		running.Go(func() {
			stdout := &lineWriter{out: out, label: label}
			stderr := &lineWriter{out: out, label: label, style: p.Error}
			if end := runOne(ctx, m, stdout, stderr); end != "" {
				_, _ = fmt.Fprintln(stderr, end)
			}
		})
	}
	running.Wait()
	if ctx.Err() == nil {
		return ErrAllEnded
	}
	return nil
}

// runOne runs a program to its end, and returns what there is to say about that.
func runOne(ctx context.Context, m Member, stdout, stderr *lineWriter) string {
	// On Linux the program is told when the thread that started it dies, so that
	// no node outlives a killed parent: the thread must live as long as it does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, m.Path)
	cmd.Args, cmd.Env = m.Args, m.Env
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = apart()
	cmd.Cancel = func() error { return terminate(cmd.Process) }
	cmd.WaitDelay = Grace
	err := cmd.Run()
	stdout.flush()
	stderr.flush()
	switch {
	case ctx.Err() == nil && err == nil:
		return "has ended"
	case ctx.Err() == nil:
		return "has ended: " + err.Error()
	case errors.Is(err, exec.ErrWaitDelay) || cmd.ProcessState != nil && killed(cmd.ProcessState):
		return fmt.Sprintf("did not stop within %v and was killed", Grace)
	}
	return ""
}

func killed(state *os.ProcessState) bool {
	return runtime.GOOS != "windows" && strings.HasPrefix(state.String(), "signal: killed")
}

// sharedWriter keeps the lines of several programs whole.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.w, text+"\n")
}

// maxLine is how much of a line without an end is kept before it is printed.
const maxLine = 64 << 10

// lineWriter passes on whole lines. It is used by one goroutine.
type lineWriter struct {
	out   *sharedWriter
	label string
	style func(string) string // may be nil
	rest  []byte
}

// Write never fails: a program must not end because its words cannot be shown.
func (l *lineWriter) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			break
		}
		l.print(line)
		l.rest = rest
	}
	if len(l.rest) > maxLine {
		l.flush()
	}
	return len(p), nil
}

func (l *lineWriter) flush() {
	if len(l.rest) > 0 {
		l.print(l.rest)
		l.rest = nil
	}
}

func (l *lineWriter) print(line []byte) {
	text := strings.TrimSuffix(string(line), "\r")
	if l.style != nil {
		text = l.style(text)
	}
	l.out.line(l.label + text)
}
