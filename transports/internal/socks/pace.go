package socks

import (
	"net"
	"time"
)

// Of what is written at once, Tor gets a burst, and then a pause in which it has
// read everything. Together they are some ten times what Tor can carry.
const (
	burst = 256 << 10
	pause = time.Millisecond
)

// Paced returns a connection to Tor on which whoever writes is held up when
// nobody reads at the other end of the stream, as connections must do. Tor by
// itself takes whatever a program writes for as long as it finds something to
// read each time it looks, and only then asks whether the stream has room for it.
// A program that is faster can fill Tor's memory. So there are pauses in which
// Tor finds nothing.
func Paced(c net.Conn) net.Conn { return &paced{Conn: c, turn: make(chan struct{}, 1)} }

type paced struct {
	net.Conn

	turn    chan struct{} // has something while somebody writes
	written int           // since the last pause
}

// Write writes in bursts. A deadline may be exceeded by a pause.
func (c *paced) Write(b []byte) (n int, err error) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	for {
		if c.written >= burst {
			time.Sleep(pause)
			c.written = 0
		}
		piece := b[n:min(len(b), n+burst-c.written)]
		k, err := c.Conn.Write(piece)
		n, c.written = n+k, c.written+k
		if err != nil || n == len(b) {
			return n, err
		}
	}
}
