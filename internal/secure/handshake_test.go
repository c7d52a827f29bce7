package secure

import (
	"bytes"
	"testing"
)

// A stranger who sends many packets at once, so that the handshake fails while
// more are waiting, must not leave anything behind in the node.
func TestFloodBeforeAuthenticationLeavesNothing(t *testing.T) {
	for name, packets := range map[string][][]byte{
		"garbage at once":    {},
		"garbage after some": {serviceRequest("ssh-userauth")},
		"unknown service":    {serviceRequest("ssh-shell")},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, net network) {
				s := newSystem(t, "clock", "scribe")
				a, b := net(t)
				defer a.Close()
				out := serve(t, b, s.config("clock"))
				h := newHostile(t, a)
				for range 60 {
					packets = append(packets, []byte{99, 1})
				}
				a.Write(bytes.Join([][]byte{h.newKeys(), h.sealed(packets...)}, nil))
				if o := <-out; o.err == nil {
					t.Fatal("somebody who sent garbage was let in")
				} else {
					t.Log(o.err)
				}
			})
		})
	}
}
