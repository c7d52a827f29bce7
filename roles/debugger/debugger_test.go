package debugger

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"kozo"
	"kozo/kozotest"
	"kozo/roles/debugger/internal/door"
)

// The helper of the role is this test binary.
func TestMain(m *testing.M) {
	if os.Getenv("KOZO_DEBUGGER_DOOR") != "" {
		if err := door.Run(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func mustDial(n *node, addr string) *ssh.Client {
	n.t.Helper()
	c, err := dial(n, addr, "debug", ssh.PublicKeys(n.signer("bob")))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { c.Close() })
	return c
}

// ask runs one command.
func ask(t *testing.T, c *ssh.Client, line string) (out, errs string, err error) {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var o, e bytes.Buffer
	s.Stdout, s.Stderr = &o, &e
	err = s.Run(line)
	return o.String(), e.String(), err
}

func TestCommands(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	c := mustDial(n, order(t, role))
	for line, want := range map[string]string{
		"help":         "goroutines",
		"roles":        "clock  timer  running",
		"status":       `"state": "running"`,
		"vars":         "clock {",
		"vars clock":   `"tick": "1s"`,
		"memory":       "goroutines",
		"goroutines":   "runtime",
		"log debug":    "debug or worse",
		"log":          "or worse",
		"build":        "roles/debugger",
		"cpu 0.01":     "\x1f\x8b",
		"heap":         "\x1f\x8b",
		"allocs":       "\x1f\x8b",
		"trace 0.01":   "go 1.",
		"allow-tracer": "",
	} {
		out, errs, err := ask(t, c, line)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, %q, %q", line, err, out, errs)
		}
	}
	for line, want := range map[string]string{
		"nonsense":    "there is no command nonsense; help lists them",
		"vars nobody": "there is no such role",
		"vars broken": "a role that is broken",
		"cpu forever": "expected a number of seconds",
		"cpu 1e9":     "expected a number of seconds",
		"log loud":    "expected debug, info, warn or error",
		"tap e:v:e:n": "",
	} {
		out, errs, err := ask(t, c, line)
		if exit, ok := errors.AsType[*ssh.ExitError](err); !ok || exit.ExitStatus() != 1 || !strings.Contains(errs, want) || errs == "" {
			t.Errorf("%s: %v, %q, %q", line, err, out, errs)
		}
	}
}

// A session ends when the person at the console leaves, and the log is as it was.
func TestShell(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	c := mustDial(n, order(t, role))
	waitFor(role, "has attached to the debugging session with the key of node bob")
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	s.Stdin = strings.NewReader("log error\n\nnonsense\nroles\nexit\n")
	var out, errs bytes.Buffer
	s.Stdout, s.Stderr = &out, &errs
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil || !strings.Contains(out.String(), "error or worse") || !strings.Contains(out.String(), "clock") {
		t.Errorf("%v, %q", err, out.String())
	}
	if !strings.Contains(errs.String(), "no command nonsense") {
		t.Errorf("the errors are %q", errs.String())
	}
	c.Close()
	waitFor(role, "the debugging session is closed: the last client has left")
	again := mustDial(n, order(t, role))
	if out, _, _ := ask(t, again, "log"); !strings.Contains(out, "info or worse") {
		t.Errorf("after a session that changed it, %s", out)
	}
}

// Who runs one command after the other does not end the session with the first.
func TestScript(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	addr := order(t, role)
	for range 3 {
		c := mustDial(n, addr)
		if out, _, err := ask(t, c, "roles"); err != nil || !strings.Contains(out, "clock") {
			t.Fatalf("%v, %q", err, out)
		}
		c.Close()
	}
	c := mustDial(n, addr)
	if _, _, err := ask(t, c, "close"); err != nil {
		t.Fatal(err)
	}
	waitFor(role, "the debugging session is closed: a client has closed it")
}

func TestTerminal(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	c := mustDial(n, order(t, role))
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 25, 80, nil); err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	var out lockedBuffer
	s.Stdout = &out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	see := func(what string) {
		t.Helper()
		role.Wait(what, func() bool { return strings.Contains(out.String(), what) })
	}
	write := func(text string) {
		t.Helper()
		if _, err := in.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	see("alice> ")
	write("nonsense\x03ro\t\r") // ctrl-C forgets the line; the tabulator completes
	see("clock")
	write("tap event\r")
	see(`event tick`)
	see("3 messages passed too fast")
	write("\x03log\r") // ends the tap, and was typed ahead
	see("info or worse")
	if taps := n.taps.Load(); taps != 0 {
		t.Errorf("%d taps are left", taps)
	}
	write("heap\r")
	see("this is for a file and not for a terminal")
	write("exit\r")
	if err := s.Wait(); err == nil || err.(*ssh.ExitError).ExitStatus() != 1 {
		t.Errorf("after a command that failed the shell ends with %v", err)
	}
}

// What a client has begun ends when the client goes.
func TestHangUp(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	c := mustDial(n, order(t, role))
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("tap"); err != nil {
		t.Fatal(err)
	}
	role.Wait("the tap", func() bool { return n.taps.Load() == 1 })
	c.Close()
	role.Wait("the end of the tap", func() bool { return n.taps.Load() == 0 })
	waitFor(role, "has left the debugging session")
}

func TestNobodyComes(t *testing.T) {
	n := newNode(t)
	role := n.run(kozo.Values{"debugTimeout": time.Second})
	addr := order(t, role)
	waitFor(role, "the debugging session is closed: nobody has attached in time")
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the door is still open")
	}
	if _, err := os.Stat(n.doors[0].Path); err != nil || n.alive() {
		t.Error("the process of the session is still there")
	}
	order(t, role) // and there is another one
}

func TestWhoIsLetIn(t *testing.T) {
	n := newNode(t)
	open := n.run(nil)
	addr := order(t, open)
	for who, how := range map[string][]ssh.AuthMethod{
		"a stranger's key":      {ssh.PublicKeys(n.signer("stranger"))},
		"the password of old":   {ssh.Password("kozo")},
		"no password":           {ssh.Password("")},
		"nothing":               nil,
		"answers to a question": {ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return []string{""}, nil })},
	} {
		if c, err := dial(n, addr, "debug", how...); err == nil {
			c.Close()
			t.Errorf("%s is let in", who)
		}
	}
	waitFor(open, "was not let into the debugging session")
	if c, err := dial(n, addr, "root", ssh.PublicKeys(n.signer("bob"))); err == nil {
		c.Close()
		t.Error("another user is let in")
	}
	mustDial(n, addr)
	if err := open.Stop(); err != nil {
		t.Error(err)
	}

	role := n.run(kozo.Values{"password": "correct horse"})
	addr = order(t, role)
	begun := time.Now()
	tries := 0
	_, err := dial(n, addr, "debug", ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
		tries++
		return "battery staple", nil
	}), 2))
	if err == nil || tries != 2 {
		t.Errorf("%v after %d wrong passwords", err, tries)
	}
	if took := time.Since(begun); took < 3*time.Second {
		t.Errorf("two wrong passwords take %v, want 1 s and 2 s", took)
	}
	waitFor(role, "wrong password, tried 2 times")
	c, err := dial(n, addr, "debug", ssh.Password("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	waitFor(role, "has attached to the debugging session with the password")
	if strings.Contains(said(role)+role.Log(), "correct horse") {
		t.Error("the password is logged")
	}
}

// The session leads to the debugger, and to nothing else on the machine.
func TestForwarding(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	addr := order(t, role)
	c := mustDial(n, addr)
	if far, err := c.Dial("tcp", addr); err == nil {
		far.Close()
		t.Error("other ports can be reached through the session")
	}
	if l, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
		t.Error("the session listens for its client")
	}
}

func TestAddress(t *testing.T) {
	for _, remote := range []bool{false, true} {
		role := kozotest.Make(t, Type(), kozo.Values{"allowRemote": remote, "port": 7051}).(*debugger)
		want := "tcp 127.0.0.1:7051"
		if remote {
			want = "tcp :7051"
		}
		if binds := role.Binds(); len(binds) != 1 || binds[0] != want || "tcp "+role.address() != want {
			t.Errorf("allowRemote %v: %v, %s", remote, binds, role.address())
		}
	}
}

func TestWarnings(t *testing.T) {
	for password, want := range map[string]int{"": 0, "kozo": 1, "short": 1, "long enough": 0} {
		role := kozotest.Make(t, Type(), kozo.Values{"password": password}).(*debugger)
		if got := len(role.Warnings()); got != want {
			t.Errorf("password %q: %d warnings, want %d", password, got, want)
		}
	}
}

func TestStop(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	c := mustDial(n, order(t, role))
	begun := time.Now()
	if err := role.Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it takes %v to stop", took)
	}
	if n.alive() {
		t.Error("the process of the session is still there")
	}
	if _, _, err := c.SendRequest("keepalive", true, nil); err == nil {
		t.Error("the client is still attached")
	}
}

// A process that dies is the end of its session, and of nothing else.
func TestTheDoorDies(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	order(t, role)
	if err := n.doors[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(role, "its process has ended: signal: killed")
	order(t, role)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
