package carry

import (
	"net"

	"kozo"
)

// maxAddress is how much of an address is shown.
const maxAddress = 256

// Conn is a connection that a program has handed over.
type Conn struct {
	*net.UnixConn
	remote addr
	peer   kozo.NodeName
}

// Peer returns the node that the program says it has proven to be at the other
// end.
func (c *Conn) Peer() kozo.NodeName { return c.peer }

// RemoteAddr returns the address that the program has named.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// name says what the far end is called if the program has not said it.
func (c *Conn) name(text string) {
	if c.remote.text == "" {
		c.remote.text = text
	}
}

// addr is an address for people.
type addr struct{ network, text string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.text }

func shorten(text string) string { return text[:min(len(text), maxAddress)] }
