package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ssh is the way of a person into a debugging session of alice.
type ssh struct {
	n    *network
	port string
	bin  string
}

// debugged runs alice with a debugger, and asks her for a session as kozo send
// does.
func debugged(t *testing.T, options string) *ssh {
	t.Helper()
	bin, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("there is no ssh: ", err)
	}
	n := newNetwork(t, build(t), "constant", "constant")
	text, err := os.ReadFile(n.config)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(text), "  alice:\n", "  alice:\n    roles:\n      debugger: "+options+"\n      timer: {tick: 0.1}\n", 1)
	if err := os.WriteFile(n.config, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	n.start("bob")
	n.start("alice")
	n.until("the link", func() bool { return n.link("alice", "bob").State == "up" })
	s := &ssh{n: n, bin: bin}
	s.order()
	return s
}

var attachWith = regexp.MustCompile(`ssh -p (\d+) debug@`)

// order asks for a session, and waits for the log message that bob's logger gets.
func (s *ssh) order() {
	s.n.t.Helper()
	before := len(s.n.heard())
	if out, err := s.n.command("send", "order", "debug", "--node", "alice").CombinedOutput(); err != nil {
		s.n.t.Fatalf("%v\n%s", err, out)
	}
	s.n.until("the session", func() bool {
		found := attachWith.FindStringSubmatch(s.n.heard()[before:])
		if found != nil {
			s.port = found[1]
		}
		return found != nil
	})
}

// command is what the log message says, with the key of bob.
func (s *ssh) command(args ...string) *exec.Cmd {
	known := filepath.Join(s.n.dir, "known_hosts")
	key, err := os.ReadFile(filepath.Join(s.n.dir, "alice.key.pub"))
	if err != nil {
		s.n.t.Fatal(err)
	}
	if err := os.WriteFile(known, []byte("[localhost]:"+s.port+" "+string(key)), 0o600); err != nil {
		s.n.t.Fatal(err)
	}
	all := append([]string{"-F", "none", "-p", s.port, "-o", "UserKnownHostsFile=" + known, "-o", "StrictHostKeyChecking=yes"}, args...)
	return exec.Command(s.bin, all...)
}

func (s *ssh) asBob(args ...string) *exec.Cmd {
	return s.command(append([]string{"-i", filepath.Join(s.n.dir, "bob.key"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "debug@localhost"}, args...)...)
}

// TestDebugger attaches to a node with the ssh of OpenSSH.
func TestDebugger(t *testing.T) {
	s := debugged(t, "{password: correct horse}")
	for what, want := range map[string]string{
		"links":         "bob    up",
		"roles":         "timer     timer     running",
		"vars debugger": `"password": "***"`,
		"queues":        "to bob",
		"transports":    "tcp",
		"goroutines":    "kozo/internal/node",
	} {
		if out, err := s.asBob(what).CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	profile := filepath.Join(s.n.dir, "cpu")
	out, err := s.asBob("cpu", "0.2").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(profile, out, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "tool", "pprof", "-top", profile).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Type: cpu")) {
		t.Errorf("the profile: %v\n%s", err, out)
	}
	tap := s.asBob("tap", "event:tick", "from", "timer@alice")
	ticks, err := tap.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tap.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 20)
	if _, err := io.ReadFull(ticks, line); err != nil {
		t.Error(err)
	}
	_ = tap.Process.Kill()
	_ = tap.Wait()

	if out, err := s.byPassword("correct horse", "roles"); err != nil || !strings.Contains(out, "timer") {
		t.Errorf("with the password: %v\n%s", err, out)
	}
	if out, err := s.byPassword("kozo", "roles"); err == nil {
		t.Errorf("with another password: %s", out)
	}
	s.n.until("the refusal to be logged", func() bool { return strings.Contains(s.n.heard(), "wrong password") })

	// The process at the door goes with the node, however that ends.
	s.n.kill("alice", syscall.SIGKILL)
	s.n.until("the door to close", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
}

// byPassword logs in with a password, which ssh takes from a program.
func (s *ssh) byPassword(password string, args ...string) (string, error) {
	s.n.t.Helper()
	ask := filepath.Join(s.n.dir, "askpass")
	if err := os.WriteFile(ask, []byte("#!/bin/sh\necho '"+password+"'\n"), 0o700); err != nil {
		s.n.t.Fatal(err)
	}
	cmd := s.command(append([]string{"-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1", "debug@localhost"}, args...)...)
	cmd.Env = append(os.Environ(), "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestDelve halts a node through a debugging session, looks at it, and lets it go
// on.
func TestDelve(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("only tried on linux/amd64")
	}
	found, err := exec.Command("go", "-C", "../..", "tool", "-modfile=tools/go.mod", "-n", "dlv").Output()
	if err != nil {
		t.Skip("delve cannot be had: ", err)
	}
	dlv := strings.TrimSpace(string(found))
	t.Setenv("PATH", filepath.Dir(dlv)+string(os.PathListSeparator)+os.Getenv("PATH"))
	s := debugged(t, "{allowRemote: false}")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	near := l.Addr().String()
	_ = l.Close()
	port := near[strings.LastIndex(near, ":")+1:]

	session := s.asBob()
	args := append(session.Args[1:len(session.Args)-1:len(session.Args)-1], "-L", port+":delve:2345", "debug@localhost", "delve")
	session = exec.Command(s.bin, args...)
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out syncBuffer
	session.Stdout, session.Stderr = &out, &out
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	s.n.until("delve to attach", func() bool {
		if strings.Contains(out.String(), "could not attach") {
			t.Skipf("this machine lets nobody attach to a process: %s", out.String())
		}
		return strings.Contains(out.String(), "delve is attached")
	})
	script := filepath.Join(s.n.dir, "script")
	commands := "break kozo/internal/rolehost.(*Sender).Send\ncontinue\nstack\nclearall\nexit -c\n"
	if err := os.WriteFile(script, []byte(commands), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	saw, err := exec.CommandContext(ctx, dlv, "connect", "localhost:"+port, "--init", script).CombinedOutput()
	if err != nil || !strings.Contains(string(saw), "(*timer).Run") {
		t.Errorf("%v\n%s", err, saw)
	}
	sent := func() uint64 {
		if st := s.n.status("alice"); st != nil {
			for _, r := range st.Roles {
				if r.Name == "timer" {
					return r.Sent
				}
			}
		}
		return 0
	}
	now := sent()
	s.n.until("the node to go on", func() bool { return sent() > now })

	_ = in.Close()
	_ = session.Process.Signal(syscall.SIGTERM)
	_ = session.Wait()
	s.n.until("delve to let go", func() bool { return tracer(t, s.n.nodes["alice"].Process.Pid) == 0 })
	now = sent()
	s.n.until("the node to go on", func() bool { return sent() > now })
	if t.Failed() {
		t.Log(out.String())
	}
}

// tracer returns the process that debugs another one, or 0.
func tracer(t *testing.T, pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "TracerPid:")
	word, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	n, err := strconv.Atoi(word)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
