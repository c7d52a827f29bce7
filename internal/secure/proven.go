package secure

import (
	"errors"
	"net"

	"golang.org/x/crypto/ssh"

	"kozo"
)

var errOnly = errors.New("nothing more can be sent on a connection whose transport brings its own encryption")

// Proven makes a Conn of a connection whose transport encrypts by itself and has
// proven that peer is at the other end. Its time limits and its end are like
// those of others, but it carries one stream, which the side that has dialled
// opens, and which ends with it.
func Proven(conn net.Conn, peer kozo.NodeName, dialled bool, cfg *Config) *Conn {
	r := newRaw(conn, cfg)
	r.established(cfg.idle(peer), ssh.DirectionAlgorithms{})
	c := &Conn{peer: peer, raw: r}
	s := &Stream{conn: c, channel: bare{r}}
	if dialled {
		c.only.Store(s)
	} else {
		c.theirs = s
	}
	return c
}

// Carries says whether a peer that has not dialled the connection can open a
// stream on it, too.
func (c *Conn) Carries() bool { return c.ssh != nil }

func (c *Conn) openOnly() (*Stream, error) {
	if err := c.Err(); err != nil {
		return nil, err
	}
	if s := c.only.Swap(nil); s != nil {
		return s, nil
	}
	return nil, errOnly
}

// bare is the only stream of a connection.
type bare struct{ *raw }

func (b bare) Close() error {
	b.kill(ErrClosed)
	return nil
}
