//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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
// beside their keys. Types are found among the examples and in testdata.
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
