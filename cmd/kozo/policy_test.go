package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kozo/internal/secure"
	"kozo/internal/status"
)

// network runs the real program, a process for each node.
type network struct {
	t      *testing.T
	kozo   string // the binary
	dir    string
	config string
	nodes  map[string]*exec.Cmd
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// build makes the binary, once for all rows.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kozo")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func (n *network) command(args ...string) *exec.Cmd {
	cmd := exec.Command(n.kozo, args...)
	cmd.Env = append(os.Environ(), "KOZO_RUN_DIR="+n.dir)
	return cmd
}

// start runs a node and waits until it answers.
func (n *network) start(name string) {
	n.t.Helper()
	log, err := os.OpenFile(filepath.Join(n.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.startOnto(name, log)
}

// startOnto is start with a place for all that the node says.
func (n *network) startOnto(name string, log *os.File, flags ...string) {
	n.t.Helper()
	cmd := n.command(append([]string{"run", n.config, name}, flags...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.nodes[name] = cmd
	n.until(name+" to run", func() bool { return n.status(name) != nil })
}

func (n *network) kill(name string, sig syscall.Signal) {
	n.t.Helper()
	_ = n.nodes[name].Process.Signal(sig)
	_ = n.nodes[name].Wait()
	delete(n.nodes, name)
}

func (n *network) close() {
	for name := range n.nodes {
		n.kill(name, syscall.SIGKILL)
	}
	if n.t.Failed() {
		logs, _ := filepath.Glob(filepath.Join(n.dir, "*.log"))
		for _, path := range logs {
			text, _ := os.ReadFile(path)
			n.t.Logf("%s:\n%s", filepath.Base(path), text)
		}
	}
}

func (n *network) status(name string) *status.Node {
	out, err := n.command("status", "--json", "--node", name).Output()
	if err != nil {
		return nil
	}
	var s status.Node
	if err := json.Unmarshal(out, &s); err != nil {
		n.t.Fatalf("%v\n%s", err, out)
	}
	return &s
}

func (n *network) link(from, to string) status.Link {
	n.t.Helper()
	if s := n.status(from); s != nil {
		for _, l := range s.Links {
			if l.Peer == to {
				return l
			}
		}
	}
	n.t.Fatalf("no link from %s to %s", from, to)
	return status.Link{}
}

func (n *network) until(what string, condition func() bool) {
	n.t.Helper()
	for begun := time.Now(); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			n.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// heard returns what bob's logger has written.
func (n *network) heard() string {
	text, _ := os.ReadFile(filepath.Join(n.dir, "heard"))
	return string(text)
}

func (n *network) say(text string) {
	n.t.Helper()
	if out, err := n.command("send", "log", text, "--node", "alice").CombinedOutput(); err != nil {
		n.t.Fatalf("%v\n%s", err, out)
	}
}

// ticks returns how many ticks of bob have reached carol.
func (n *network) ticks() uint64 {
	return n.link("carol", "bob").In.Accepted
}

// newNetwork writes a network of alice, who may send to bob as the policies say,
// and carol, to whom bob sends ticks, so that a test can tell that bob runs and
// that time passes.
func newNetwork(t *testing.T, kozo, alice, bob string) *network {
	n := &network{t: t, kozo: kozo, dir: t.TempDir(), nodes: map[string]*exec.Cmd{}}
	var b strings.Builder
	fmt.Fprintf(&b, "heartbeat: 1\nconnectionRetry: 1\nsystem:\n")
	blocks := map[string]string{
		"alice": "selfToOthersConnectPolicy: " + alice + "\n    othersToSelfConnectPolicy: never",
		"bob": "othersToSelfConnectPolicy: " + bob + "\n    roles:\n      timer: {tick: 0.1}\n" +
			"      logger: {file: " + filepath.Join(n.dir, "heard") + ", flushEvery: 1}",
		"carol": "selfToOthersConnectPolicy: never\n    roles:\n      cuckoo: {}\n    roleStorage: " + n.dir,
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		key, err := secure.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(n.dir, name+".key")
		if err := key.Write(path, name); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "  %s:\n    privateKey: %s\n    publicKey: %s\n    transports:\n      tcp: {address: 127.0.0.1, bindAddress: 127.0.0.1, port: %d}\n    %s\n",
			name, path, key.Public().Line(), freePort(t), blocks[name])
	}
	n.config = filepath.Join(n.dir, "config.yml")
	if err := os.WriteFile(n.config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n
}

// TestPolicyTreeBetweenProcesses is the tree of the connection policies, with
// alice and bob as real processes.
func TestPolicyTreeBetweenProcesses(t *testing.T) {
	kozo := build(t)
	for _, alice := range []string{"constant", "ondemand", "never"} {
		for _, bob := range []string{"constant", "ondemand", "never"} {
			t.Run(alice+" to "+bob, func(t *testing.T) {
				t.Parallel()
				n := newNetwork(t, kozo, alice, bob)
				for _, name := range []string{"carol", "bob", "alice"} {
					n.start(name)
				}
				n.until("bob's ticks", func() bool { return n.ticks() >= 10 })
				switch {
				case alice == "never" || bob == "never":
					testNever(n)
				case alice == "ondemand" || bob == "ondemand":
					testOnDemand(n)
				default:
					testConstant(n)
				}
			})
		}
	}
}

func testNever(n *network) {
	n.say("hello")
	n.until("the refusal", func() bool { return n.link("alice", "bob").Out.Dropped["refused"] == 1 })
	now := n.ticks()
	n.until("some time", func() bool { return n.ticks() >= now+10 })
	if l := n.link("alice", "bob"); l.State != "off" || l.Connects != 0 || n.heard() != "" {
		n.t.Errorf("%+v; heard %q", l, n.heard())
	}
}

func testConstant(n *network) {
	n.until("the link", func() bool { return n.link("alice", "bob").State == "up" })
	n.killAndRestartBob()
	n.until("the link to be back by itself", func() bool {
		l := n.link("alice", "bob")
		return l.State == "up" && l.Connects == 2
	})
	n.say("hello again")
	n.until("the message", func() bool { return strings.Contains(n.heard(), "hello again") })
}

func testOnDemand(n *network) {
	if l := n.link("alice", "bob"); l.State != "idle" || l.Connects != 0 {
		n.t.Fatalf("before there is anything to send: %+v", l)
	}
	n.say("hello")
	n.until("the message that asked for the link", func() bool { return strings.Contains(n.heard(), "hello") })
	// For what is not confirmed the link would come back by itself, to send it again.
	n.until("its confirmation", func() bool { return n.link("alice", "bob").Out.Delivered == 1 })
	n.killAndRestartBob()
	now := n.ticks()
	n.until("some time", func() bool { return n.ticks() >= now+10 })
	if l := n.link("alice", "bob"); l.State != "idle" || l.Connects != 1 {
		n.t.Fatalf("after the cut: %+v", l)
	}
	n.say("hello again")
	n.until("the message after the cut", func() bool { return strings.Contains(n.heard(), "hello again") })
	if l := n.link("alice", "bob"); l.Connects != 2 {
		n.t.Errorf("%+v", l)
	}
}

func (n *network) killAndRestartBob() {
	n.t.Helper()
	n.kill("bob", syscall.SIGKILL)
	n.until("alice to notice", func() bool { return n.link("alice", "bob").State != "up" })
	n.start("bob")
}

// stop sends a node a signal that ends it, and looks at how soon and how it ends.
func (n *network) stop(name string, sig syscall.Signal) {
	n.t.Helper()
	cmd := n.nodes[name]
	delete(n.nodes, name)
	begun := time.Now()
	_ = cmd.Process.Signal(sig)
	kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	kill.Stop()
	if took := time.Since(begun); err != nil || took > 2*time.Second {
		n.t.Errorf("%s on %v: %v after %v", name, sig, err, took)
	}
}

// TestStopsWithinTwoSeconds sends the signals that end a node, and looks at how
// soon and how it ends.
func TestStopsWithinTwoSeconds(t *testing.T) {
	kozo := build(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		n := newNetwork(t, kozo, "constant", "constant")
		for _, name := range []string{"alice", "bob", "carol"} {
			n.start(name)
		}
		n.until("the link", func() bool { return n.link("alice", "bob").State == "up" })
		n.say("the last words")
		for _, name := range []string{"alice", "bob", "carol"} {
			n.stop(name, sig)
		}
		if !strings.Contains(n.heard(), "the last words") {
			t.Errorf("lost: heard %q", n.heard())
		}
	}
}
