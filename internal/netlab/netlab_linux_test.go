package netlab

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inDir makes a process of this test one that makes a lab in a directory, and
// waits to be killed.
const inDir = "KOZO_NETLAB_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(inDir); dir != "" {
		if err := wait(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func wait(dir string) error {
	l, err := New(dir)
	if err != nil {
		return err
	}
	h, err := l.Host("alice", "10.0.0.1/24")
	if err != nil {
		return err
	}
	sleep := h.Command("sleep", "600")
	if err := sleep.Start(); err != nil {
		return err
	}
	fmt.Println("pids", l.lan.pid(), h.pid(), sleep.Process.Pid)
	select {}
}

func root(t *testing.T) {
	t.Helper()
	if missing := Missing(); len(missing) > 0 {
		t.Skip("a lab needs", strings.Join(missing, ", "))
	}
}

// Whoever made a lab is killed: nothing of it is left.
func TestNothingIsLeft(t *testing.T) {
	root(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), inDir+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	pids := strings.Fields(line)
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	if len(pids) != 4 {
		t.Fatal(line)
	}
	for _, pid := range pids[1:] {
		for begun := time.Now(); running(pid); time.Sleep(10 * time.Millisecond) {
			if time.Since(begun) > 10*time.Second {
				t.Fatalf("process %s is still there", pid)
			}
		}
	}
}

// running says whether a process is there, and no zombie.
func running(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

// What a host has is its own, and it reaches its neighbours alone.
func TestHosts(t *testing.T) {
	root(t)
	l, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	alice, err := l.Host("alice", "10.0.0.1/24")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := l.Host("a-name-that-is-too-long-for-an-interface", "10.0.0.2/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Names("10.0.0.2 bob.lab\n"); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"ip -o -4 addr show scope global": "10.0.0.1/24",
		"ip route":                        "10.0.0.0/24 dev eth0",
		"hostname":                        "alice",
		"getent hosts bob.lab":            "10.0.0.2",
		"ls -A /run":                      "",
		"cat /etc/resolv.conf":            "",
	} {
		words := strings.Fields(command)
		out, err := alice.Command(words[0], words[1:]...).CombinedOutput()
		text := strings.TrimSpace(string(out))
		if err != nil || !strings.Contains(text, want) || want == "" && text != "" || strings.Contains(text, "\n") {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	if text, _ := os.ReadFile("/etc/hosts"); strings.Contains(string(text), "bob.lab") {
		t.Error("the machine has the names of the host")
	}
	if err := bob.Pull(); err != nil {
		t.Fatal(err)
	}
	// The end of a cable gets to know a little later.
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if state, _ := bob.Command("ip", "-o", "link", "show", "eth0").Output(); strings.Contains(string(state), "NO-CARRIER") {
			break
		} else if time.Since(begun) > 10*time.Second {
			t.Fatalf("the cable is still in: %s", state)
		}
	}
}
