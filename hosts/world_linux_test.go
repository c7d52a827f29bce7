// Package hosts tries networks of several hosts: real processes, each in a network
// namespace of its own, with cables, firewalls and multicast.
package hosts_test

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kozo/internal/control"
	"kozo/internal/netlab"
	"kozo/internal/secure"
	"kozo/internal/status"
)

// programs are kozo as it is released, and the one with the roles of these tests.
var programs = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "kozo-hosts-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir, "../cmd/kozo", "./peer")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	if to := os.Getenv(asDelay); to != "" {
		fmt.Fprintln(os.Stderr, delay(to))
		os.Exit(1)
	}
	flag.Parse()
	// These tests wait for what other processes do: more of them can run at a
	// time than there are processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	if dir, _ := programs(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

const (
	heartbeat = 2 * time.Second
	death     = 5 * time.Second // two and a half heartbeats of silence
	retry     = time.Second

	// back is how long it may take until a link is up again after its way is: an
	// attempt that has begun before sends its next packet within 4 s, and the
	// pause between two attempts is as long as retry. The rest is for a machine
	// that is busy with other tests.
	back = 10 * time.Second

	head = time.Second     // for how long nobody but the first is dialled
	busy = 2 * time.Second // for a machine that does other things too
	syn  = 4 * time.Second // between two packets with which TCP asks for a connection
)

// member is a node of a network, on a host of its own.
type member struct {
	name    string
	address string  // what others dial; empty for the address of its host
	block   string  // more lines of its node block
	every   float64 // seconds between two numbers of its source; 0.02 if 0
	roles   string  // instead of a source and a sink
}

// world is a network that runs.
type world struct {
	t      *testing.T
	dir    string
	kozo   string
	config string
	lab    *netlab.Lab
	hosts  map[string]*netlab.Host
	nodes  map[string]*exec.Cmd
	others []*exec.Cmd // what runs beside them
}

func ip(i int) string { return fmt.Sprintf("10.77.0.%d", i+1) }

// newWorld makes a network of which nothing runs yet. The i-th host has the
// address ip(i).
func newWorld(t *testing.T, program string, members ...member) *world {
	t.Helper()
	if missing := netlab.Missing(); len(missing) > 0 {
		t.Skip("several hosts need", strings.Join(missing, ", "))
	}
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "kz") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, kozo: filepath.Join(bin, program), config: filepath.Join(dir, "config.yml"),
		hosts: map[string]*netlab.Host{}, nodes: map[string]*exec.Cmd{}}
	t.Cleanup(w.close)
	if w.lab, err = netlab.New(dir); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "heartbeat: %v\nconnectionRetry: %v\noutgoingQueueLength: 4096\noutgoingQueueAge: 60\nsystem:\n", heartbeat.Seconds(), retry.Seconds())
	for i, m := range members {
		if w.hosts[m.name], err = w.lab.Host(m.name, ip(i)+"/24"); err != nil {
			t.Fatal(err)
		}
		if m.address == "" {
			m.address = ip(i)
		}
		if m.roles == "" {
			m.roles = fmt.Sprintf("{source: {every: %v}, sink: {file: %s}}", cmp.Or(m.every, 0.02), w.path(m.name+".got"))
		}
		key, err := secure.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Write(w.path(m.name+".key"), m.name); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "  %s:\n    privateKey: %s\n    publicKey: %s\n    transports: {tcp: {address: %q}}\n    roles: %s\n%s",
			m.name, w.path(m.name+".key"), key.Public().Line(), m.address, m.roles, m.block)
	}
	if err := os.WriteFile(w.config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// beside runs another program on a host until the end of the test.
func (w *world) beside(host, program string, args ...string) *exec.Cmd {
	w.t.Helper()
	cmd := w.spawn(host, filepath.Base(program)+"."+host+".log", program, args...)
	w.others = append(w.others, cmd)
	return cmd
}

func (w *world) spawn(host, log, program string, args ...string) *exec.Cmd {
	w.t.Helper()
	cmd := w.hosts[host].Command(program, args...)
	cmd.Env = append(os.Environ(), "KOZO_RUN_DIR="+w.dir)
	f, err := os.OpenFile(w.path(log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	w.do(err)
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	w.do(cmd.Start())
	return cmd
}

func (w *world) start(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.nodes[name] = w.spawn(name, name+".log", w.kozo, "run", w.config, name)
	}
}

func (w *world) end(name string, sig syscall.Signal) {
	_ = w.nodes[name].Process.Signal(sig)
	_ = w.nodes[name].Wait()
	delete(w.nodes, name)
}

func (w *world) close() {
	for name := range w.nodes {
		w.end(name, syscall.SIGKILL)
	}
	for _, cmd := range w.others {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if w.lab != nil {
		w.lab.Close()
	}
	if w.t.Failed() {
		logs, _ := filepath.Glob(w.path("*.log"))
		for _, path := range logs {
			text, _ := os.ReadFile(path)
			w.t.Logf("%s:\n%s", filepath.Base(path), text)
		}
	}
	_ = os.RemoveAll(w.dir)
}

// status is empty while the node does not answer.
func (w *world) status(name string) status.Node {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, _ := control.Status(ctx, w.path(name+".sock"))
	return s
}

func (w *world) link(from, to string) status.Link {
	for _, l := range w.status(from).Links {
		if l.Peer == to {
			return l
		}
	}
	return status.Link{}
}

func (w *world) until(what string, limit time.Duration, good func() bool) time.Duration {
	w.t.Helper()
	begun := time.Now()
	for ; !good(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > limit {
			for name := range w.nodes {
				w.t.Logf("%+v", w.status(name))
			}
			w.t.Fatalf("waited %v in vain for %s", limit, what)
		}
	}
	return time.Since(begun).Round(time.Millisecond)
}

// whole waits until all links between the nodes that run are up.
func (w *world) whole(limit time.Duration) time.Duration {
	w.t.Helper()
	return w.until("all links", limit, func() bool {
		for name := range w.nodes {
			up := 0
			for _, l := range w.status(name).Links {
				if l.State == "up" && l.In.Connected {
					up++
				}
			}
			if up != len(w.nodes)-1 {
				return false
			}
		}
		return true
	})
}

// numbers are those that have reached a node from another one.
func (w *world) numbers(at, from string) (got []int) {
	w.t.Helper()
	f, err := os.Open(w.path(at + ".got"))
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if sender, number, ok := strings.Cut(lines.Text(), " "); ok && sender == from {
			n, err := strconv.Atoi(number)
			w.do(err)
			got = append(got, n)
		}
	}
	return got
}

// flow waits until so many more numbers have gone from one node to another.
func (w *world) flow(from, to string, more int) {
	w.t.Helper()
	before := len(w.numbers(to, from))
	w.until("numbers from "+from+" to "+to, back, func() bool { return len(w.numbers(to, from)) >= before+more })
}

// hush ends all sources, and waits until every message has its fate.
func (w *world) hush() {
	w.t.Helper()
	for _, cmd := range w.nodes {
		w.do(cmd.Process.Signal(syscall.SIGHUP))
	}
	w.until("all messages to be accounted for", 2*back, func() bool {
		for name := range w.nodes {
			s := w.status(name)
			if len(s.Links) == 0 {
				return false
			}
			for _, l := range s.Links {
				if l.Out.Queued+l.Out.InFlight > 0 {
					return false
				}
			}
			for _, r := range s.Roles {
				if r.Inbox.Queued > 0 || r.Name == "source" && r.State != "done" {
					return false
				}
			}
		}
		return true
	})
}

// account checks what became of the numbers from one node to another, which have
// both run all the time and are silent now: each has arrived, whatever happened to
// the connections.
func (w *world) account(from, to string) {
	w.t.Helper()
	out, in := w.link(from, to).Out, w.link(to, from).In
	var sent, lost uint64
	for _, r := range w.status(from).Roles {
		if r.Name == "source" {
			sent = r.Sent
		}
	}
	for _, r := range w.status(to).Roles {
		if r.Name == "sink" {
			lost = status.Sum(r.Inbox.Dropped)
		}
	}
	got := w.numbers(to, from)
	w.inOrder(to, from)
	if out.Sent != sent || out.Delivered != sent || in.Accepted != sent || !in.Balanced() || uint64(len(got)) != sent || lost > 0 {
		w.t.Errorf("%s sent %d to %s: %+v %+v, %d are there", from, sent, to, out, in, len(got))
	}
	w.t.Logf("%s to %s: %d sent", from, to, sent)
}

// inOrder checks that no number came twice or after a later one.
func (w *world) inOrder(at, from string) {
	w.t.Helper()
	got := w.numbers(at, from)
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			w.t.Errorf("at %s, number %d of %s came after %d", at, got[i], from, got[i-1])
			return
		}
	}
}

// steady checks that a link has been up on its first connection all the time.
func (w *world) steady(from, to string) {
	w.t.Helper()
	if l := w.link(from, to); l.State != "up" || l.Connects != 1 {
		w.t.Errorf("the link of %s to %s has not lasted: %+v", from, to, l)
	}
}
