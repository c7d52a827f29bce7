package secure

import (
	"net"
	"slices"

	"golang.org/x/crypto/ssh"
)

// piece is the size of the buffer of the ssh package. A packet that is longer is
// written in pieces, of which the first is as long as that.
const piece = 4 << 10

// joint puts the first piece of a packet together with the second, so that a
// packet takes one write and not two, and arrives at once.
type joint struct {
	first []byte // held back; the memory is kept while long packets are written
	pair  [2][]byte
	both  net.Buffers // of pair
	short int         // how many packets in a row had one piece
}

// joinable says whether a write of exactly one piece is never the end of a packet
// with these algorithms: then it can wait for the next, which follows at once.
// What is encrypted of a packet fills blocks of 16 bytes, so only the length
// before it, of 4 bytes, or the code behind it, of 20, make the sum uneven. The
// other algorithms either do not, or write a packet as a whole.
//
// A peer could agree on others later, when the keys are changed. It would get the
// end of some packets together with the next one, and hurt nobody else.
func joinable(out ssh.DirectionAlgorithms) bool {
	return slices.Contains([]string{ssh.CipherAES128GCM, ssh.CipherAES256GCM}, out.Cipher) ||
		slices.Contains([]string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA1}, out.MAC)
}

// outgoing returns the algorithms that the two sides have agreed on for what this
// side sends. It must be asked before the keys can change.
func outgoing(c ssh.Conn) (out ssh.DirectionAlgorithms) {
	if s, ok := c.(*ssh.ServerConn); ok {
		c = s.Conn
	}
	if m, ok := c.(ssh.AlgorithmsConnMetadata); ok {
		out = m.Algorithms().Write
	}
	return out
}

// hold keeps a piece for the next write, and says whether it does.
func (j *joint) hold(p []byte) bool {
	if len(p) != piece || len(j.first) > 0 {
		return false
	}
	j.first = append(j.first, p...)
	return true
}

// write writes what is held and p; on a socket that is one call. It returns how
// many bytes of both it has written.
func (j *joint) write(c net.Conn, p []byte) (int, error) {
	if len(j.first) == 0 {
		if j.short++; j.short >= calm {
			j.first = nil
		}
		return c.Write(p)
	}
	j.pair = [2][]byte{j.first, p}
	j.both = j.pair[:]
	n, err := j.both.WriteTo(c)
	j.first, j.pair, j.short = j.first[:0], [2][]byte{}, 0
	return int(n), err
}
