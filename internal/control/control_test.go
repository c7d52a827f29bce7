package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kozo"
	"kozo/internal/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNode has a tail of at most four messages, as a real node has a bounded one.
type fakeNode struct {
	mu    sync.Mutex
	sent  []kozo.Message
	tails map[*fakeTail]bool
	ended chan struct{} // gets a value when a tail ends
}

type fakeTail struct {
	messages chan kozo.Message
	missed   uint64 // since the last message that was taken
	dropped  uint64 // in all
}

func newFakeNode() *fakeNode {
	return &fakeNode{tails: map[*fakeTail]bool{}, ended: make(chan struct{}, 100)}
}

func (n *fakeNode) Status() status.Node { return status.Node{Name: "clock", PID: 42} }

func (n *fakeNode) Send(m kozo.Message) ([]kozo.NodeName, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent = append(n.sent, m)
	for t := range n.tails {
		select {
		case t.messages <- m:
		default:
			t.missed++
			t.dropped++
		}
	}
	return []kozo.NodeName{"desk"}, nil
}

func (n *fakeNode) Tail(ctx context.Context, filters []kozo.Filter) iter.Seq2[kozo.Message, uint64] {
	t := &fakeTail{messages: make(chan kozo.Message, 4)}
	n.mu.Lock()
	n.tails[t] = true
	n.mu.Unlock()
	return func(yield func(kozo.Message, uint64) bool) {
		defer func() {
			n.mu.Lock()
			delete(n.tails, t)
			n.mu.Unlock()
			n.ended <- struct{}{}
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-t.messages:
				wanted := len(filters) == 0
				for _, f := range filters {
					wanted = wanted || f.Match(&m)
				}
				n.mu.Lock()
				missed := t.missed
				t.missed = 0
				n.mu.Unlock()
				if wanted && !yield(m, missed) {
					return
				}
			}
		}
	}
}

func (n *fakeNode) event(t *testing.T, typ string, data any) {
	t.Helper()
	m, err := kozo.NewEvent(typ, data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Send(m); err != nil {
		t.Fatal(err)
	}
}

// runDir returns a directory whose name is short enough for a socket.
func runDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// serve runs a server for the test and returns the path of its socket.
func serve(t *testing.T, n Node) string {
	t.Helper()
	l, err := Dirs{runDir(t)}.Listen("clock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, n) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestStatus(t *testing.T) {
	s, err := Status(t.Context(), serve(t, newFakeNode()))
	if err != nil || s.Name != "clock" || s.PID != 42 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestSend(t *testing.T) {
	n := newFakeNode()
	path := serve(t, n)
	m, err := kozo.NewOrder("debug", "desk", map[string]any{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := Send(t.Context(), path, m)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(wanted, []kozo.NodeName{"desk"}) {
		t.Errorf("the node says that %v want it", wanted)
	}
	if len(n.sent) != 1 || n.sent[0].Channel != "desk" || n.sent[0].Body.Text() != `{"a":1}` {
		t.Errorf("the node got %+v", n.sent)
	}
	if _, err := Send(t.Context(), path, kozo.Message{Kind: kozo.Event}); err == nil || err.Error() != kozo.ErrType.Error() {
		t.Errorf("the error of the node got lost: %v", err)
	}
	big := kozo.NewLog(kozo.Info, strings.Repeat("x", MaxRequest))
	if _, err := Send(t.Context(), path, big); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a message that is too large: %v", err)
	}
	large := kozo.NewLog(kozo.Info, strings.Repeat("x", 1<<20))
	if _, err := Send(t.Context(), path, large); err != nil {
		t.Errorf("a message of 1 MiB: %v", err)
	}
}

func TestTail(t *testing.T) {
	n := newFakeNode()
	path := serve(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	var got []string
	ready := func() {
		n.event(t, "noise", nil)
		n.event(t, "tick", 1)
		n.event(t, "tick", 2)
	}
	err := Tail(ctx, path, []kozo.Filter{{Type: "tick"}}, ready, func(m kozo.Message, missed uint64) error {
		got = append(got, fmt.Sprint(m.Type, " ", m.Body.Text(), " ", missed))
		if len(got) == 2 {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "[tick 1 0 tick 2 0]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	<-n.ended // the node is rid of a client that has gone, though nothing was sent since
}

func TestTailEndsWithTheNode(t *testing.T) {
	n := newFakeNode()
	l, err := Dirs{runDir(t)}.Listen("clock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, n) }()
	err = Tail(t.Context(), l.Addr().String(), nil, stop, func(kozo.Message, uint64) error { return nil })
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Tail: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// A client that does not read is told how much it has missed when it reads
// again; the node never waits for it.
func TestTailOfASlowReader(t *testing.T) {
	n := newFakeNode()
	conn := dial(t, serve(t, n))
	if _, err := conn.Write([]byte(`{"do":"tail"}` + "\n")); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(conn)
	next := func() answer {
		t.Helper()
		var a answer
		if err := lines.Decode(&a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := next(); !a.OK {
		t.Fatalf("got %+v", a)
	}
	const total = 500
	filler := strings.Repeat("x", 10_000) // more in all than the buffers of a socket hold
	for i := range total {
		n.event(t, "load", map[string]any{"i": i, "filler": filler})
	}
	n.mu.Lock()
	var dropped uint64
	for tail := range n.tails {
		dropped = tail.dropped
	}
	n.mu.Unlock()
	if dropped == 0 {
		t.Fatal("nothing was dropped: the test does not test")
	}
	var lost uint64
	for range total - dropped {
		a := next()
		if a.Message == nil || a.Message.Type != "load" {
			t.Fatalf("got %+v", a)
		}
		lost += a.Missed
	}
	n.event(t, "last", nil) // brings the count of what was dropped after the others
	lost += next().Missed
	if lost != dropped {
		t.Errorf("the client knows of %d dropped messages, and there were %d", lost, dropped)
	}
}

func TestBadRequests(t *testing.T) {
	for _, c := range []struct{ name, request, want string }{
		{"not JSON", "hello", "cannot be read"},
		{"an empty line", "", "cannot be read"},
		{"nothing to do", "{}", `"" is not something`},
		{"unknown", `{"do":"reboot"}`, `"reboot" is not something`},
		{"no message", `{"do":"send"}`, "no message"},
		{"a bad kind", `{"do":"send","message":{"kind":"rumour"}}`, `"rumour"`},
		{"filters without end", `{"do":"tail","filters":[` + strings.Repeat("{},", MaxFilters) + `{}]}`, "at most 64"},
		{"deep nesting", `{"do":"send","message":{"kind":"log","data":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}`, "nested"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, serve(t, newFakeNode()))
			if _, err := conn.Write([]byte(c.request + "\n" + `{"do":"status","later":1}` + "\n")); err != nil {
				t.Fatal(err)
			}
			answers := json.NewDecoder(conn)
			var refusal, next answer
			if err := answers.Decode(&refusal); err != nil || !strings.Contains(refusal.Error, c.want) {
				t.Errorf("answered %q, %v; want something with %q", refusal.Error, err, c.want)
			}
			if err := answers.Decode(&next); err != nil || next.Status == nil {
				t.Errorf("the next request was answered with %+v, %v", next, err)
			}
		})
	}
}

func TestRequestTooLong(t *testing.T) {
	conn := dial(t, serve(t, newFakeNode()))
	go func() { _, _ = io.Copy(conn, io.LimitReader(endless('x'), 2*MaxRequest)) }()
	answered, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && !strings.Contains(answered, "more than") {
		t.Errorf("answered %q, %v", answered, err)
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestTooManyClients(t *testing.T) {
	path := serve(t, newFakeNode())
	for range MaxClients {
		conn := dial(t, path)
		if _, err := conn.Write([]byte(`{"do":"tail"}` + "\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	line, err := bufio.NewReader(dial(t, path)).ReadString('\n')
	if err != nil || !strings.Contains(line, "64 clients already") {
		t.Errorf("one client too many got %q, %v", line, err)
	}
}

// Whatever a client sends, the server answers or hangs up, and forgets it.
func FuzzClient(f *testing.F) {
	f.Add([]byte(`{"do":"status"}` + "\n"))
	f.Add([]byte(`{"do":"send","message":{"kind":"event","type":"x","data":[1,{"a":null}]}}` + "\n{}\n"))
	f.Add([]byte(`{"do":"tail","filters":[{"kind":"log","role":"a"}]}` + "\n"))
	f.Add([]byte("\n\xff\x00{\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		server, client := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			serveClient(ctx, server, newFakeNode())
		}()
		read := make(chan struct{})
		go func() {
			defer close(read)
			lines := bufio.NewScanner(client)
			lines.Buffer(nil, 16<<20)
			for lines.Scan() {
				if !json.Valid(lines.Bytes()) {
					t.Errorf("the answer is %q", lines.Bytes())
				}
			}
		}()
		_, _ = client.Write(sent) // fails when the server has hung up
		_ = client.Close()
		<-done
		<-read
	})
}
