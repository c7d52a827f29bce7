package secure

import (
	"fmt"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// What the ssh package does with packets during a handshake: a goroutine reads
// ahead and puts up to queueLength of them in a queue, from which the handshake
// takes them. If the handshake fails while that queue is full, the goroutine
// waits for ever, since nobody takes from the queue any more, and what it holds
// is lost. Anybody who can reach the port could make a node grow in that way.
const (
	queueLength  = 16       // packets
	minPacket    = 26       // bytes of the smallest packet that any cipher takes
	maxHandshake = 64 << 10 // bytes; one with the largest RSA keys takes 12 kB
	firstPiece   = 2 * minPacket
)

// gate lets bytes through during a handshake in such portions that the queue
// cannot fill up, and not more than a handshake needs. It is open after that.
type gate struct {
	opened atomic.Bool

	sync.Mutex
	total  int        // bytes that passed
	keyed  bool       // the keys are exchanged: packets go to the queue
	blind  int        // bytes that passed since then while the queue was not known
	queued func() int // how many packets are in the queue; nil: not known yet

	// A client trusts the other side by then, and hears more from it before the
	// queue is known: it only waits a little for the queue to be emptied.
	client bool
}

func (g *gate) open()        { g.opened.Store(true) }
func (g *gate) isOpen() bool { return g.opened.Load() }

// written looks for the end of the key exchange in what is sent: a packet, still
// in clear, that says that the next ones will be encrypted (RFC 4253, section
// 7.3).
func (g *gate) written(p []byte) {
	const msgNewKeys = 21
	if g.isOpen() {
		return
	}
	g.Lock()
	defer g.Unlock()
	if !g.keyed && len(p) == 16 && p[5] == msgNewKeys {
		g.keyed = true
	}
}

// watch makes the queue of a handshake known. The ssh package does not export
// it, but its length can be read. It reports whether it was found.
func (g *gate) watch(c ssh.ConnMetadata) bool {
	v := reflect.ValueOf(c)
	for _, field := range []string{"", "transport", "incoming"} {
		if field != "" {
			if v.Kind() != reflect.Struct {
				return false
			}
			v = v.FieldByName(field)
		}
		for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
	}
	if v.Kind() != reflect.Chan || v.Cap() != queueLength {
		return false
	}
	g.Lock()
	defer g.Unlock()
	g.queued = v.Len
	return true
}

// pass waits until some of n bytes can pass and returns how many. The error says
// that the connection is closed, or why it should be.
func (g *gate) pass(n int, shut <-chan struct{}) (int, error) {
	if g.isOpen() {
		return n, nil
	}
	for {
		select {
		case <-shut:
			return 0, net.ErrClosed
		default:
		}
		if allowed := g.allowed(); allowed > 0 {
			return g.take(min(n, allowed))
		}
		pause := time.Millisecond
		if g.client {
			pause *= 20
		}
		select {
		case <-shut:
		case <-time.After(pause):
			g.waited()
		}
		if g.isOpen() {
			return n, nil
		}
	}
}

func (g *gate) waited() {
	g.Lock()
	defer g.Unlock()
	if g.client {
		g.blind = 0
	}
}

// allowed returns how many bytes can pass without filling the queue. It is asked
// when all whole packets that have passed are in the queue or were taken from
// it, and maybe a part of one more has passed.
func (g *gate) allowed() int {
	g.Lock()
	defer g.Unlock()
	switch {
	case !g.keyed:
		// The end of this piece may be encrypted packets already.
		return firstPiece
	case g.queued == nil:
		return (queueLength-4)*minPacket - g.blind // a service request, of at most 120
	}
	return (queueLength - 2 - g.queued()) * minPacket
}

func (g *gate) take(n int) (int, error) {
	g.Lock()
	defer g.Unlock()
	if g.total += n; g.total > maxHandshake {
		return 0, fmt.Errorf("it sent more than %d bytes without saying who it is", maxHandshake)
	}
	if g.keyed && g.queued == nil {
		g.blind += n
	}
	return n, nil
}
