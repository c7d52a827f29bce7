//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kozo/internal/secure"
	"kozo/internal/status"
)

// needPython skips a test where there is no python3 that is new enough.
func needPython(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("python3", "-c", "import sys; sys.exit(sys.version_info < (3, 9))").CombinedOutput(); err != nil {
		t.Skipf("this needs python3, 3.9 or later: %v %s", err, out)
	}
}

// newPythonNetwork writes a network whose nodes have these blocks, as flow YAML,
// beside their keys. Types are found among the examples and in testdata; one, a
// transport that does no more than it must, is that of the SDK's own tests.
func newPythonNetwork(t *testing.T, kozo string, blocks map[string]string) *network {
	t.Helper()
	n := &network{t: t, kozo: kozo, dir: t.TempDir(), nodes: map[string]*exec.Cmd{}}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(n.dir, "cache"))
	var paths []string
	for _, dir := range []string{"../../sdk/python/examples", "testdata/python"} {
		path, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	fourMethods, err := os.ReadFile("../../sdk/python/tests/mytransport.py")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.dir, "fourmethods.py"), fourMethods, 0o600); err != nil {
		t.Fatal(err)
	}
	paths = append(paths, n.dir)
	var b strings.Builder
	fmt.Fprintf(&b, "heartbeat: 1\nconnectionRetry: 1\nrolePath: %[1]s\ntransportPath: %[1]s\nsystem:\n", strings.Join(paths, ":"))
	for name, block := range blocks {
		key, err := secure.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(n.dir, name+".key")
		if err := key.Write(path, name); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "  %s:\n    privateKey: %s\n    publicKey: %s\n    roleStorage: %s\n%s", name, path, key.Public().Line(),
			filepath.Join(n.dir, name), block)
	}
	n.config = filepath.Join(n.dir, "config.yml")
	if err := os.WriteFile(n.config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n
}

// log returns what a node has written to its standard output and error.
func (n *network) log(name string) string {
	text, _ := os.ReadFile(filepath.Join(n.dir, name+".log"))
	return string(text)
}

func (n *network) role(node, name string) status.Role {
	n.t.Helper()
	if s := n.status(node); s != nil {
		for _, r := range s.Roles {
			if r.Name == name {
				return r
			}
		}
	}
	n.t.Fatalf("no role %s on %s", name, node)
	return status.Role{}
}

// counted waits until count has said how many messages it got, and how fast.
func (n *network) counted(node string) (count uint64, rate float64) {
	n.t.Helper()
	said := regexp.MustCompile(`counted (\d+) at (\d+)/s`)
	var m []string
	n.until("the count", func() bool {
		m = said.FindStringSubmatch(n.log(node))
		return m != nil
	})
	count, _ = strconv.ParseUint(m[1], 10, 64)
	rate, _ = strconv.ParseFloat(m[2], 64)
	return count, rate
}

// TestPythonRoleCountsEveryMessage sends a role in Python 10,000 messages a second
// from another one, and compares what it counts with the account of its inbox.
func TestPythonRoleCountsEveryMessage(t *testing.T) {
	needPython(t)
	kozo := build(t)
	for _, c := range []struct {
		name  string
		queue int // its inbox
	}{{"with room", 20000}, {"with a small inbox", 64}} {
		t.Run(c.name, func(t *testing.T) {
			const sent = 20000
			n := newPythonNetwork(t, kozo, map[string]string{"alice": fmt.Sprintf(
				"    roles: {flood: {count: %d, rate: 10000}, count: {last: %d, messageQueueLength: %d}}\n", sent, sent, c.queue)})
			n.start("alice")
			counted, rate := n.counted("alice")
			r := n.role("alice", "count")
			t.Logf("it got %d of %d, %.0f a second; %+v", counted, sent, rate, r.Inbox)
			if !r.Inbox.Balanced() || r.Inbox.Offered != sent || r.Inbox.Taken != counted ||
				counted+status.Sum(r.Inbox.Dropped) != sent {
				t.Errorf("it counted %d of %d, and its inbox has %+v", counted, sent, r.Inbox)
			}
			if strings.Contains(n.log("alice"), "number ") {
				t.Error("messages came out of order")
			}
			if f := n.role("alice", "flood"); f.State != "done" || f.Restarts != 0 {
				t.Errorf("flood is %+v", f)
			}
		})
	}
}

// TestPythonRoleFails looks for the traceback, and for the role that begins anew.
func TestPythonRoleFails(t *testing.T) {
	needPython(t)
	n := newPythonNetwork(t, build(t), map[string]string{"alice": "    roles: {faulty: {}}\n"})
	n.start("alice")
	for i := 1; i <= 2; i++ {
		n.until("the role", func() bool { return strings.Count(n.log("alice"), "faulty begins anew") == i })
		if out, err := n.command("send", "event", "fail", fmt.Sprintf("\"reason %d\"", i), "--node", "alice").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	n.until("the third run", func() bool { return n.role("alice", "faulty").Restarts == 2 })
	for _, want := range []string{"run failed: Traceback", "in fail", "faulty.py", "ValueError: because of reason 2"} {
		if !strings.Contains(n.log("alice"), want) {
			t.Errorf("the log does not have %q", want)
		}
	}
	if r := n.role("alice", "faulty"); !strings.Contains(r.Error, "ValueError: because of reason") || r.Inbox.Taken != 2 || !r.Inbox.Balanced() {
		t.Errorf("%+v", r)
	}
}

// wire stands between two nodes, and can be cut.
type wire struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func newWire(t *testing.T, at, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Skipf("this needs a second address of the machine: %v", err)
	}
	w := &wire{listener: l, to: to}
	t.Cleanup(func() { _ = l.Close(); w.set(true) })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(near)
		}
	}()
	return w
}

func (w *wire) carry(near net.Conn) {
	far, err := net.Dial("tcp", w.to)
	if err != nil {
		_ = near.Close()
		return
	}
	w.mu.Lock()
	w.conns = append(w.conns, near, far)
	cut := w.cut
	w.mu.Unlock()
	if cut {
		w.set(true)
	}
	go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
	_, _ = io.Copy(far, near)
	_ = far.Close()
}

// set cuts the wire, or lets it carry again.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for _, c := range w.conns {
			_ = c.Close()
		}
		w.conns = nil
	}
}

// TestPythonTransportCarriesALink has two nodes that can only reach each other
// through a transport in Python, and cuts their connection in the middle.
func TestPythonTransportCarriesALink(t *testing.T) {
	needPython(t)
	kozo := build(t)
	for _, cut := range []string{"the wire", "the transport"} {
		t.Run("cut "+cut, func(t *testing.T) {
			const sent = 20000
			port := freePort(t)
			w := newWire(t, fmt.Sprintf("127.0.0.2:%d", port), fmt.Sprintf("127.0.0.1:%d", port))
			n := newPythonNetwork(t, kozo, map[string]string{
				"alice": fmt.Sprintf("    transports: {fourmethods: {port: %d, address: 127.0.0.4}}\n    roles: {flood: {count: %d, rate: 4000}}\n    overrideMainConfiguration: {outgoingQueueLength: 20000, outgoingQueueAge: 60}\n", freePort(t), sent),
				"bob":   fmt.Sprintf("    transports: {fourmethods: {port: %d, address: '127.0.0.3, 127.0.0.2'}}\n    roles: {count: {last: %d, messageQueueLength: 20000}}\n", port, sent),
			})
			n.start("bob")
			n.start("alice")
			n.until("some messages", func() bool { return n.role("bob", "count").Inbox.Taken > 2000 })
			if l := n.link("alice", "bob"); l.Transport != "fourmethods" || !strings.HasPrefix(l.Endpoint, "127.0.0.2:") {
				t.Errorf("the link uses %s %s", l.Transport, l.Endpoint)
			}
			switch cut {
			case "the wire":
				w.set(true)
				n.until("alice to notice", func() bool { return n.link("alice", "bob").State != "up" })
				w.set(false)
			case "the transport":
				killPython(t, n.nodes["bob"].Process.Pid, "fourmethods.py")
			}
			counted, rate := n.counted("bob")
			out := func() status.Ledger { return n.link("alice", "bob").Out }
			n.until("everything to be confirmed", func() bool { l := out(); return l.Queued == 0 && l.InFlight == 0 })
			l, in, r := out(), n.link("bob", "alice").In, n.role("bob", "count")
			t.Logf("it got %d of %d, %.0f a second; link %+v", counted, sent, rate, l)
			if !l.Balanced() || !in.Balanced() || !r.Inbox.Balanced() || l.Sent != sent || l.Delivered != in.Received ||
				in.Accepted != r.Inbox.Offered || r.Inbox.Taken != counted {
				t.Errorf("counted %d of %d\nlink %+v\nin %+v\ninbox %+v", counted, sent, l, in, r.Inbox)
			}
			if c := n.link("alice", "bob").Connects; c < 2 {
				t.Errorf("the link was connected %d times", c)
			}
			if strings.Contains(n.log("bob"), "number ") {
				t.Error("messages came out of order")
			}
		})
	}
}

// killPython kills the child of a process that runs a file.
func killPython(t *testing.T, parent int, file string) {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=,args=", "--ppid", strconv.Itoa(parent)).Output()
	if err != nil {
		t.Skipf("this needs ps: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if pid, args, _ := strings.Cut(strings.TrimSpace(line), " "); strings.Contains(args, file) {
			number, _ := strconv.Atoi(pid)
			if err := syscall.Kill(number, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no child runs %s:\n%s", file, out)
}

// TestLastExampleOfTheConfiguration is the block with which the description of the
// transport API ends.
func TestLastExampleOfTheConfiguration(t *testing.T) {
	needPython(t)
	kozo := build(t)
	n := newPythonNetwork(t, kozo, map[string]string{"mynode": `    transports:
        mytransport:
            port: 9002
            address: hello
`})
	if out, err := n.command("check", n.config).CombinedOutput(); err != nil || strings.Contains(string(out), "note") {
		t.Errorf("%v\n%s", err, out)
	}
	n.start("mynode")
	n.until("it to listen, or to say why not", func() bool {
		s := n.status("mynode").Transports
		return len(s) == 1 && (s[0].Listens != "" || strings.Contains(s[0].Error, "in use"))
	})
	if s := n.status("mynode").Transports[0]; s.Error == "" {
		c, err := net.Dial("tcp", "127.0.0.1:9002")
		if err != nil {
			t.Error(err)
		} else {
			_ = c.Close()
		}
	}

	n = newPythonNetwork(t, kozo, map[string]string{"mynode": "    transports:\n        mytransport:\n            port: 9002\n"})
	out, err := n.command("run", n.config, "mynode").CombinedOutput()
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 78 || !strings.Contains(string(out), `the option "address" is missing`) ||
		!strings.Contains(string(out), "an address or a list of addresses that the node can be reached from") {
		t.Errorf("without a required option: %v\n%s", err, out)
	}
}

// TestDoorbell runs the role of the documentation.
func TestDoorbell(t *testing.T) {
	needPython(t)
	n := newPythonNetwork(t, build(t), map[string]string{"house": "    roles: {doorbell: {sound: ding ding}}\n"})
	say := func(args ...string) {
		t.Helper()
		if out, err := n.command(append([]string{"send", "--node", "house"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	n.start("house")
	say("event", "press")
	n.until("the bell", func() bool { return strings.Count(n.log("house"), "ding ding") == 1 })
	n.kill("house", syscall.SIGTERM)
	n.start("house")
	say("event", "press")
	n.until("the bell", func() bool { return strings.Count(n.log("house"), "ding ding") == 2 })
	if text, err := os.ReadFile(filepath.Join(n.dir, "house", "doorbell.json")); err != nil || strings.TrimSpace(string(text)) != "2" {
		t.Errorf("it has stored %q, %v", text, err)
	}
	say("order", "quiet", "--channel", "doorbell", "1000")
	n.until("quiet", func() bool { return strings.Contains(n.log("house"), "quiet, as kozo@house has asked") })
	say("event", "press")
	n.until("the press to be taken", func() bool { return n.role("house", "doorbell").Inbox.Taken == 3 })
	if c := strings.Count(n.log("house"), "ding ding"); c != 2 {
		t.Errorf("it rang %d times", c)
	}
	begun := time.Now()
	n.kill("house", syscall.SIGTERM)
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %v to stop", took)
	}
}
