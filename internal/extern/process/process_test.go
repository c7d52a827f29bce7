//go:build unix

package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also a program that runs another and can be killed.
func TestMain(m *testing.M) {
	if path := os.Getenv("PROCESS_TEST_RUN"); path != "" {
		p, err := Start(Config{Argv: []string{path}, MaxLine: 1000})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		for {
			line, err := p.ReadLine()
			if err != nil {
				os.Exit(1)
			}
			fmt.Println(string(line))
		}
	}
	goleak.VerifyTestMain(m)
}

// script writes a program in sh.
func script(t *testing.T, text string) string {
	t.Helper()
	return file(t, "#!/bin/sh\n"+text+"\n", 0o755)
}

func file(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	// Another test may be forking while this file is open for writing.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, text string) *Process {
	t.Helper()
	p, err := Start(Config{Argv: []string{script(t, text)}, MaxLine: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		p.Release()
	})
	return p
}

func readLine(t *testing.T, p *Process, want string) {
	t.Helper()
	line, err := p.ReadLine()
	if err != nil || string(line) != want {
		t.Fatalf("read %q, %v; want %q", line, err, want)
	}
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited too long for " + what)
		}
	}
}

func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	// In a container nobody may reap what was orphaned.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func pidOf(t *testing.T, p *Process) int {
	t.Helper()
	line, err := p.ReadLine()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestConversation(t *testing.T) {
	p := start(t, `while read -r line; do echo "<$line>"; done; echo bye; printf last; exit 3`)
	for _, word := range []string{"one", "two"} {
		if _, err := p.Write([]byte(word + "\n")); err != nil {
			t.Fatal(err)
		}
		readLine(t, p, "<"+word+">")
	}
	p.CloseInput()
	readLine(t, p, "bye")
	readLine(t, p, "last")
	if line, err := p.ReadLine(); err != io.EOF {
		t.Errorf("after the end there is %q, %v", line, err)
	}
	<-p.Done()
	if err := p.End(); err == nil || err.Error() != "exited with status 3" {
		t.Errorf("it ended with %v", err)
	}
}

func TestLongLines(t *testing.T) {
	p := start(t, `
long() { head -c "$1" /dev/zero | tr '\0' x; echo; }
long 99; long 100; long 100000; echo short; long 300 | tr -d '\n'`)
	readLine(t, p, strings.Repeat("x", 99))
	for range 2 {
		if line, err := p.ReadLine(); err != ErrTooLong || string(line) != strings.Repeat("x", 99) {
			t.Fatalf("a long line is %q, %v", line, err)
		}
	}
	readLine(t, p, "short")
	if _, err := p.ReadLine(); err != ErrTooLong {
		t.Fatalf("a long line without end is read with %v", err)
	}
	if line, err := p.ReadLine(); err != io.EOF {
		t.Errorf("after it there is %q, %v", line, err)
	}
	if n := len(p.out.buf); n > 101 {
		t.Errorf("%d bytes are held for lines of at most 100", n)
	}
}

func TestStderr(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	path := script(t, `echo one >&2; head -c 10000 /dev/zero | tr '\0' y >&2; echo >&2; for i in 1 2 3 4 5 6; do echo "word $i" >&2; done; exit 1`)
	p, err := Start(Config{Argv: []string{path}, MaxLine: 100, Stderr: func(line string) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, line)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	<-p.Done()
	if len(heard) != 8 || heard[0] != "one" || len(heard[1]) != MaxNoise-1 || heard[7] != "word 6" {
		t.Errorf("heard %q", heard)
	}
	if got := p.LastWords(); got != "word 2\nword 3\nword 4\nword 5\nword 6" {
		t.Errorf("the last words are %q", got)
	}
}

// TestStop stops programs that listen less and less.
func TestStop(t *testing.T) {
	const polite, firm = 2 * time.Second, time.Second
	for _, c := range []struct {
		name, text, end string
		least, most     time.Duration
	}{
		{"ends with its input", `echo on; cat >/dev/null; exit 0`, "", 0, polite},
		{"ends on SIGTERM", `trap 'exit 7' TERM; echo on; while :; do sleep 0.05; done`, "exited with status 7", polite, polite + firm},
		{"never ends", `trap '' TERM; echo on; while :; do sleep 0.05; done`, "was ended by a signal: killed", polite + firm, polite + firm + 5*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, c.text)
			readLine(t, p, "on")
			begin := time.Now()
			p.Stop(polite, firm)
			if took := time.Since(begin); took < c.least || took > c.most {
				t.Errorf("it took %v", took)
			}
			if got := fmt.Sprint(p.End()); got != c.end && (c.end != "" || p.End() != nil) {
				t.Errorf("it ended with %v", p.End())
			}
		})
	}
}

// TestGroup has programs that leave children behind.
func TestGroup(t *testing.T) {
	for name, text := range map[string]string{
		"ends by itself": `sleep 1000 & echo $!; exit 0`,
		"is killed":      `sleep 1000 & echo $!; trap '' TERM; while :; do sleep 1; done`,
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, text)
			pid := pidOf(t, p)
			if name == "is killed" {
				p.Kill()
			}
			<-p.Done()
			await(t, "the end of the child", func() bool { return gone(pid) })
		})
	}
}

// TestEscaped has a child that leaves the group and keeps the standard output:
// it cannot keep anybody waiting.
func TestEscaped(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("there is no setsid")
	}
	p := start(t, `setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.3; echo end`)
	pid := pidOf(t, p)
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	readLine(t, p, "end")
	if line, err := p.ReadLine(); err != io.EOF {
		t.Errorf("after the end there is %q, %v", line, err)
	}
	<-p.Done()
}

// TestOrphan kills the one who started a program.
func TestOrphan(t *testing.T) {
	path := script(t, `echo $$; trap '' TERM; while :; do sleep 0.1; done`)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(exe)
	parent.Env = append(os.Environ(), "PROCESS_TEST_RUN="+path)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	await(t, "the end of the orphan", func() bool { return gone(pid) })
}

// TestClosedOutput has a program that closes its standard output and lives on.
func TestClosedOutput(t *testing.T) {
	p := start(t, `echo on; exec >&-; while :; do sleep 0.1; done`)
	readLine(t, p, "on")
	if line, err := p.ReadLine(); err != io.EOF {
		t.Fatalf("read %q, %v", line, err)
	}
	select {
	case <-p.Done():
		t.Error("it has ended")
	default:
	}
}

// TestConsumed knows exactly what a program has read.
func TestConsumed(t *testing.T) {
	p := start(t, `read -r a; read -r b; echo "$a $b"; exec <&-; sleep 1000`)
	lines := []byte("one\ntwo\nthree\nfour\n")
	if _, err := p.Write(lines); err != nil {
		t.Fatal(err)
	}
	readLine(t, p, "one two")
	p.Kill()
	<-p.Done()
	if got := p.Consumed(); got != int64(len("one\ntwo\n")) {
		t.Errorf("it has read %d bytes", got)
	}
}

// TestDeaf has a program that does not read: who writes gets stuck only until
// the program is stopped.
func TestDeaf(t *testing.T) {
	p := start(t, `echo on; trap '' TERM; while :; do sleep 0.1; done`)
	readLine(t, p, "on")
	wrote := make(chan error)
	go func() {
		_, err := p.Write(bytes.Repeat([]byte("x\n"), 1<<20))
		wrote <- err
	}()
	p.Stop(50*time.Millisecond, 50*time.Millisecond)
	if err := <-wrote; err == nil {
		t.Error("2 MiB went into the pipe")
	}
	if got := p.Consumed(); got != 0 {
		t.Errorf("it has read %d bytes", got)
	}
}

func TestStartErrors(t *testing.T) {
	for name, c := range map[string]struct{ path, want string }{
		"not executable":   {file(t, "#!/bin/sh\n", 0o644), "chmod +x"},
		"nothing says how": {file(t, "print(1)\n", 0o755), "#!/usr/bin/env python3"},
		"empty":            {file(t, "", 0o755), "#!/usr/bin/env python3"},
		"no interpreter":   {file(t, "#! /usr/bin/no-such-thing -x\n", 0o755), `"/usr/bin/no-such-thing"`},
		"carriage returns": {file(t, "#!/bin/sh\r\necho\r\n", 0o755), "as on Windows"},
		"another machine":  {file(t, "\x7fELF\x02\x01\x01garbage", 0o755), "neither a program for this machine"},
		"gone":             {"/nonexistent/program", "no such file"},
	} {
		p, err := Start(Config{Argv: []string{c.path}, MaxLine: 10})
		if err == nil {
			p.Kill()
			p.Release()
			t.Errorf("%s: it runs", name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}
