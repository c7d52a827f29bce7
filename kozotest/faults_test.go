package kozotest_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// Connections with a fault. They have no CloseWrite unless they say so.
type (
	reading struct {
		net.Conn
		read func([]byte) (int, error)
	}
	writing struct {
		net.Conn
		write func([]byte) (int, error)
	}
	closing struct {
		net.Conn
		close func() error
	}
	halfClosing struct {
		net.Conn
		half func() error
	}
	noDeadline    struct{ net.Conn }
	noReadLimit   struct{ net.Conn }
	noWriteLimit  struct{ net.Conn }
	stickyTimeout struct {
		net.Conn
		mu  sync.Mutex
		set bool
	}
	nowhere struct{ net.Conn }
)

func (c *reading) Read(p []byte) (int, error)            { return c.read(p) }
func (c *writing) Write(p []byte) (int, error)           { return c.write(p) }
func (c *closing) Close() error                          { return c.close() }
func (c *halfClosing) CloseWrite() error                 { return c.half() }
func (c *noDeadline) SetDeadline(time.Time) error        { return nil }
func (c *noReadLimit) SetReadDeadline(time.Time) error   { return nil }
func (c *noWriteLimit) SetWriteDeadline(time.Time) error { return nil }
func (c *nowhere) RemoteAddr() net.Addr                  { return nil }

func (c *stickyTimeout) SetReadDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set {
		return nil
	}
	c.set = true
	return c.Conn.SetReadDeadline(at)
}

func losing(c net.Conn) net.Conn {
	total := 0
	return &reading{c, func(p []byte) (int, error) {
		n, err := c.Read(p)
		if total += n; total > 100_000 && n > 1 {
			total = 0
			n = copy(p, p[1:n])
		}
		return n, err
	}}
}

// unbounded takes whatever is written and delivers it in its own time.
func unbounded(c net.Conn) net.Conn {
	var mu sync.Mutex
	var queue [][]byte
	more := make(chan struct{}, 1)
	over := make(chan struct{})
	go func() {
		defer c.Close()
		for {
			mu.Lock()
			now := queue
			queue = nil
			mu.Unlock()
			for _, p := range now {
				if _, err := c.Write(p); err != nil {
					return
				}
			}
			select {
			case <-more:
			case <-over:
				if len(now) == 0 {
					return
				}
			}
		}
	}()
	w := &writing{c, func(p []byte) (int, error) {
		mu.Lock()
		queue = append(queue, slices.Clone(p))
		mu.Unlock()
		select {
		case more <- struct{}{}:
		default:
		}
		return len(p), nil
	}}
	return &closing{w, sync.OnceValue(func() error { close(over); return nil })}
}

// endless is a listener whose Accept knows no end.
type endless struct{ net.Listener }

func (l *endless) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		time.Sleep(30 * time.Minute)
	}
	return c, err
}

// withListener makes connections that end with their listener.
func withListener() broken {
	var mu sync.Mutex
	var conns []net.Conn
	return broken{
		conn: func(c net.Conn) net.Conn {
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, c)
			return c
		},
		listen: func(_ context.Context, l net.Listener) (net.Listener, error) {
			return &killing{l, func() {
				mu.Lock()
				defer mu.Unlock()
				for _, c := range conns {
					c.Close()
				}
			}}, nil
		},
	}
}

type killing struct {
	net.Listener
	kill func()
}

func (l *killing) Close() error {
	l.kill()
	return l.Listener.Close()
}

// buffered keeps short writes for a moment, and forgets them when it is closed.
func buffered(c net.Conn) net.Conn {
	return &writing{c, func(p []byte) (int, error) {
		if len(p) > 100 {
			return c.Write(p)
		}
		p = slices.Clone(p)
		time.AfterFunc(time.Millisecond, func() { c.Write(p) })
		return len(p), nil
	}}
}
