package node_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay stands in front of a node's port and can cut what passes through it.
type relay struct {
	front  net.Listener
	behind string // where the node listens
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newRelay(t testing.TB) *relay {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{front: front, behind: free.Addr().String(), conns: map[net.Conn]bool{}}
	_ = free.Close()
	r.wg.Go(r.run)
	t.Cleanup(func() {
		_ = front.Close()
		r.cut()
		r.wg.Wait()
	})
	return r
}

func (r *relay) run() {
	for {
		c, err := r.front.Accept()
		if err != nil {
			return
		}
		node, err := net.Dial("tcp", r.behind)
		if err != nil {
			_ = c.Close()
			continue
		}
		r.mu.Lock()
		r.conns[c], r.conns[node] = true, true
		r.mu.Unlock()
		r.wg.Go(func() { r.copy(c, node) })
		r.wg.Go(func() { r.copy(node, c) })
	}
}

func (r *relay) copy(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, to)
	delete(r.conns, from)
}

// cut resets every connection that passes through.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = c.Close()
	}
}
