package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kozo"
	"kozo/internal/config"
	"kozo/internal/node"
	"kozo/internal/secure"
	"kozo/internal/status"
	"kozo/internal/system"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// spec describes a node of a test world; the zero values are what most tests
// want.
type spec struct {
	name    string
	slow    bool              // its transport says that it needs more time
	typ     string            // of its transport, if it is not tcp
	more    string            // lines of its transport block, beside those of the place
	mute    bool              // has no address that others can dial
	options map[string]string // of the node block
	roles   map[string]string // name -> the lines of the block, as "type: sink"
}

// world is a network of whole nodes in one process, over memory or over sockets.
type world struct {
	t     testing.TB
	sys   *system.System
	keys  map[string]*secure.Key
	place place
	logs  *logBook

	mu      sync.Mutex
	running map[string]*running
	envs    map[kozo.RoleRef]*kozo.Env
	got     map[kozo.RoleRef][]kozo.Message
	counted atomic.Int64
	astray  atomic.Int64 // of those that were counted, not right after the one before

	helperIsIll atomic.Bool // what runs for transports of the type helped fails
}

type running struct {
	node *node.Node
	stop context.CancelFunc
	done chan error
}

// newWorld makes a world from the settings of the root and its nodes, and runs
// them all.
func newWorld(t testing.TB, p place, settings string, specs ...spec) *world {
	t.Helper()
	w := &world{
		t: t, place: p, keys: map[string]*secure.Key{}, logs: &logBook{},
		running: map[string]*running{}, envs: map[kozo.RoleRef]*kozo.Env{},
		got: map[kozo.RoleRef][]kozo.Message{},
	}
	if len(specs) > 0 {
		w.sys = w.parse(settings, specs)
	}
	t.Cleanup(w.stopAll)
	for _, s := range specs {
		w.start(s.name)
	}
	return w
}

// parse writes the configuration as a person would, and reads it.
func (w *world) parse(settings string, specs []spec) *system.System {
	w.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nsystem:\n", settings)
	for _, s := range specs {
		if w.keys[s.name] == nil {
			key, err := secure.GenerateKey()
			if err != nil {
				w.t.Fatal(err)
			}
			w.keys[s.name] = key
		}
		fmt.Fprintf(&b, "  %s:\n    privateKey: /none\n    publicKey: %s\n", s.name, w.keys[s.name].Public().Line())
		for k, v := range s.options {
			fmt.Fprintf(&b, "    %s: %s\n", k, v)
		}
		typ := "tcp"
		if s.slow {
			typ = "slow"
		}
		if s.typ != "" {
			typ = s.typ
		}
		fmt.Fprintf(&b, "    transports:\n      %s: {%s}\n", typ, w.place.transport(s)+s.more)
		roles := s.roles
		if roles == nil {
			roles = map[string]string{"source": "", "sink": ""}
		}
		b.WriteString("    roles:\n")
		for name, options := range roles {
			fmt.Fprintf(&b, "      %s: {%s}\n", name, options)
		}
	}
	file, err := config.Parse("test.yml", []byte(b.String()), config.Types{Registry: w.types(), Programs: programs(w.t)})
	if err != nil {
		w.t.Fatalf("%v\n%s", err, b.String())
	}
	return file.System
}

func ref(role, name string) kozo.RoleRef {
	return kozo.RoleRef{Node: kozo.NodeName(name), Role: kozo.RoleName(role)}
}

// start runs a node, which may have run before.
func (w *world) start(name string) {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(w.logs.of(name), &slog.HandlerOptions{Level: slog.LevelInfo}))
	n, err := node.New(node.Config{
		System: w.sys, Self: kozo.NodeName(name), Key: w.keys[name], Version: "test",
		Out: w.logs.of(name), Log: log,
		Net: func(log *slog.Logger) *kozo.TransportEnv { return w.place.env(name, log) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{node: n, stop: cancel, done: make(chan error, 1)}
	w.mu.Lock()
	w.running[name] = r
	delete(w.envs, ref("source", name))
	w.mu.Unlock()
	go func() { r.done <- n.Run(ctx) }()
	<-n.Ready()
	if s := w.sys.Node(kozo.NodeName(name)); s.Role("source") != nil {
		w.until("the source of "+name+" to run", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.envs[ref("source", name)] != nil
		})
	}
}

// stop stops a node as a signal would.
func (w *world) stop(name string) {
	w.t.Helper()
	w.mu.Lock()
	r := w.running[name]
	delete(w.running, name)
	w.mu.Unlock()
	begun := time.Now()
	r.stop()
	if err := <-r.done; err != nil {
		w.t.Errorf("%s: %v", name, err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		w.t.Errorf("%s took %v to stop", name, took)
	}
}

func (w *world) stopAll() {
	w.mu.Lock()
	var names []string
	for name := range w.running {
		names = append(names, name)
	}
	w.mu.Unlock()
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() { w.stop(name) })
	}
	all.Wait()
	if w.t.Failed() {
		w.logs.print(w.t)
	}
}

func (w *world) node(name string) *node.Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[name].node
}

// send makes the source of a node send an event.
func (w *world) send(name, typ string, data any) {
	w.t.Helper()
	w.mu.Lock()
	env := w.envs[ref("source", name)]
	w.mu.Unlock()
	if err := env.Event(typ, data); err != nil {
		w.t.Fatal(err)
	}
}

// received returns what the sink of a node has got.
func (w *world) received(name string) []kozo.Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]kozo.Message(nil), w.got[ref("sink", name)]...)
}

// link returns the state of the link from one node to another.
func (w *world) link(from, to string) status.Link {
	for _, l := range w.node(from).Status().Links {
		if l.Peer == to {
			return l
		}
	}
	w.t.Fatalf("%s has no link to %s", from, to)
	return status.Link{}
}

func (w *world) up(from, to string) bool { return w.link(from, to).State == "up" }

// patience is how long a test waits for something that should happen soon.
const patience = 60 * time.Second

// until waits for a condition.
func (w *world) until(what string, condition func() bool) {
	w.t.Helper()
	w.within(patience, what, condition)
}

// within waits for a condition, and fails the test if it takes longer than the
// limit.
func (w *world) within(limit time.Duration, what string, condition func() bool) time.Duration {
	w.t.Helper()
	begun := time.Now()
	for pause := time.Millisecond; !condition(); pause = min(pause*5/4, 50*time.Millisecond) {
		if time.Since(begun) > limit {
			w.logs.print(w.t)
			w.t.Fatalf("waited %v in vain for %s", limit, what)
		}
		time.Sleep(pause)
	}
	return time.Since(begun)
}

// allUp waits until the links between all nodes are up.
func (w *world) allUp() {
	w.t.Helper()
	w.until("all links", func() bool {
		w.mu.Lock()
		nodes := make([]*node.Node, 0, len(w.running))
		for _, r := range w.running {
			nodes = append(nodes, r.node)
		}
		w.mu.Unlock()
		for _, n := range nodes {
			for _, l := range n.Status().Links {
				if l.State != "up" {
					return false
				}
			}
		}
		return true
	})
}

// logBook keeps what the nodes say, for a test that fails or that counts lines.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

func (b *logBook) of(name string) *logWriter { return &logWriter{book: b, name: name} }

type logWriter struct {
	book *logBook
	name string
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	w.book.lines = append(w.book.lines, w.name+": "+strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// count returns how many lines a node has written that contain a text.
func (b *logBook) count(name, text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, line := range b.lines {
		if strings.HasPrefix(line, name+": ") && strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (b *logBook) print(t testing.TB) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if os.Getenv("KOZO_TEST_LOGS") == "" && len(b.lines) > 60 {
		t.Logf("(%d lines before; KOZO_TEST_LOGS=1 shows them)", len(b.lines)-60)
		b.lines = b.lines[len(b.lines)-60:]
	}
	for _, line := range b.lines {
		t.Log(line)
	}
}
