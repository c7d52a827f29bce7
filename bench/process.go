package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"kozo/bench/internal/traffic"
)

// process is a child: this program once more, in one of its parts, or the one of
// the neighbours.
type process struct {
	name    string
	cmd     *exec.Cmd
	started time.Time
	reports chan traffic.Report
	done    chan struct{} // closed when both outputs have ended

	mu     sync.Mutex
	errors bytes.Buffer // the last of what it said on stderr
}

// maxErrors bounds what is kept of a child's stderr.
const maxErrors = 16 << 10

// start runs this program with arguments. Lines on stdout that are reports go to
// the channel, others to line if there is one, as do those on stderr.
func start(name string, env []string, line func(string), args ...string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startProgram(exe, name, append(env, childVariable+"=1"), line, args...)
}

// startProgram runs any program. It does not outlive the bench where the kernel
// can see to that.
func startProgram(exe, name string, env []string, line func(string), args ...string) (*process, error) {
	p := &process{name: name, reports: make(chan traffic.Report, 1024), done: make(chan struct{})}
	p.cmd = exec.Command(exe, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = dieTogether()
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if line == nil {
		line = func(string) {}
	}
	var outputs sync.WaitGroup
	outputs.Go(func() { p.readReports(stdout, line) })
	outputs.Go(func() { p.readErrors(stderr, line) })
	go func() {
		outputs.Wait()
		close(p.reports)
		close(p.done)
	}()
	return p, nil
}

func (p *process) readReports(r io.Reader, line func(string)) {
	for s := bufio.NewScanner(r); s.Scan(); {
		var rep traffic.Report
		if json.Unmarshal(s.Bytes(), &rep) != nil || rep.At == 0 {
			line(s.Text())
			continue
		}
		select {
		case p.reports <- rep:
		default: // nobody reads any more
		}
	}
}

func (p *process) readErrors(r io.Reader, line func(string)) {
	for s := bufio.NewScanner(r); s.Scan(); {
		p.mu.Lock()
		if p.errors.Len() < maxErrors {
			p.errors.Write(append(s.Bytes(), '\n'))
		}
		p.mu.Unlock()
		line(s.Text())
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// failed describes why nothing can be expected of the process any more.
func (p *process) failed(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s: %s; it said:\n%s", p.name, what, p.errors.String())
}

// next returns the next report for which ok is true.
func (p *process) next(ctx context.Context, ok func(traffic.Report) bool) (traffic.Report, error) {
	for {
		select {
		case r, open := <-p.reports:
			if !open {
				return r, p.failed("it ended")
			}
			if ok(r) {
				return r, nil
			}
		case <-ctx.Done():
			return traffic.Report{}, p.failed("it has not reported in time")
		}
	}
}

// stopAll asks processes to stop, and makes them after a while.
func stopAll(all []*process) {
	for _, p := range all {
		if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
			_ = p.cmd.Process.Kill()
		}
	}
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	for _, p := range all {
		select {
		case <-p.done:
		case <-deadline.C:
			deadline.Reset(0) // no more patience with the others
			_ = p.cmd.Process.Kill()
			<-p.done
		}
		_ = p.cmd.Wait() // how it ended does not matter any more
	}
}

// usage is the CPU time of several processes.
func usage(all []*process) (time.Duration, error) {
	var sum time.Duration
	for _, p := range all {
		t, err := cpuTime(p.pid())
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}
