package node_test

import (
	"bufio"
	"crypto/rand"
	"net"
	"sync"
	"testing"
	"time"
)

// address returns where a node of a world on sockets listens.
func (s *sockets) address(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.relays[name].behind
}

// TestHandshakePortSurvivesStrangers keeps a port busy with everything that a
// scanner or an attacker without a key can do, while the links have to stay up,
// and a new one has to come up.
func TestHandshakePortSurvivesStrangers(t *testing.T) {
	p := newSockets(t)
	w := newWorld(t, p, quick, spec{name: "a"}, spec{name: "b"}, spec{name: "late"})
	w.allUp()
	w.stop("late")
	connects := w.link("a", "b").Connects + w.link("b", "a").Connects

	address := p.address("a")
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			_ = c.Close()
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for range 500 { // they never say a word
		idle = append(idle, dial())
	}
	stop := make(chan struct{})
	var strangers sync.WaitGroup
	// Slow loris: a version line that never ends, a byte at a time.
	strangers.Go(func() {
		c := dial()
		defer c.Close()
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				if _, err := c.Write([]byte("S")); err != nil {
					return
				}
			}
		}
	})
	for range 4 { // random bytes, with and without a version line before them
		strangers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				c := dial()
				if i%2 == 0 {
					_, _ = c.Write([]byte("SSH-2.0-noise\r\n"))
				}
				noise := make([]byte, 1<<10)
				_, _ = rand.Read(noise)
				_, _ = c.Write(noise)
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = bufio.NewReader(c).ReadString(0)
				_ = c.Close()
			}
		})
	}
	for i := range 20 {
		before := len(w.received("b"))
		w.send("a", "still here", i)
		w.until("a message in the noise", func() bool { return len(w.received("b")) == before+1 })
	}
	w.start("late")
	w.until("a new link in the noise", func() bool { return w.up("late", "a") && w.up("a", "late") })
	close(stop)
	strangers.Wait()
	if now := w.link("a", "b").Connects + w.link("b", "a").Connects; now != connects {
		t.Errorf("the links went down: %d connections, then %d", connects, now)
	}
	// Those who said nothing are turned out, the oldest first.
	gone := 0
	for _, c := range idle {
		_ = c.SetReadDeadline(time.Now().Add(15 * time.Second))
		if _, err := bufio.NewReader(c).ReadString(0); err != nil {
			if e, ok := err.(net.Error); !ok || !e.Timeout() {
				gone++
			}
		}
	}
	if gone != len(idle) {
		t.Errorf("%d of %d idle connections were turned out", gone, len(idle))
	}
}

func TestStrangersAreShownWithTheirKeys(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, quick, spec{name: "a"}, spec{name: "b"})
		w.allUp()
		// For a, the file has no node c; c itself has a newer copy.
		w.sys = w.parse(quick, specs([]string{"a", "b", "c"}))
		w.start("c")
		w.until("a to notice", func() bool { return len(w.node("a").Status().Strangers) == 1 })
		time.Sleep(time.Minute)
		s := w.node("a").Status().Strangers[0]
		if s.Name != "c" || s.Key != w.keys["c"].Public().Line() || s.Count < 2 {
			t.Errorf("%+v", s)
		}
		if n := w.logs.count("a", "refused a stranger"); n != 1 {
			t.Errorf("logged %d times", n)
		}
	})
}
