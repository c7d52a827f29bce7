package main

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// line is a network that carries only so many bytes a second: what is dialled at
// its address goes on to a port behind it.
type line struct {
	front net.Listener
	rate  int // bytes a second, in the direction of the dial
	port  atomic.Int64

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

func newLine(rate int) (*line, error) {
	front, err := (&net.ListenConfig{Control: likeEthernet}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &line{front: front, rate: rate}
	l.wg.Go(l.run)
	return l, nil
}

func (l *line) address() string  { return l.front.Addr().String() }
func (l *line) leadsTo(port int) { l.port.Store(int64(port)) }

func (l *line) close() {
	_ = l.front.Close()
	l.mu.Lock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

func (l *line) run() {
	for {
		from, err := l.front.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.FormatInt(l.port.Load(), 10)))
		if err != nil {
			_ = from.Close()
			continue
		}
		l.mu.Lock()
		l.conns = append(l.conns, from, to)
		l.mu.Unlock()
		l.wg.Go(func() { l.carry(to, from) })
		l.wg.Go(func() {
			_, _ = io.Copy(from, to)
			_ = from.Close()
		})
	}
}

// carry moves bytes no faster than the line does.
func (l *line) carry(to, from net.Conn) {
	defer to.Close()
	free := time.Now() // when the line has carried all that it was given
	for buf := make([]byte, 4<<10); ; {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if now := time.Now(); free.Before(now) {
			free = now
		}
		free = free.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
		time.Sleep(time.Until(free))
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
