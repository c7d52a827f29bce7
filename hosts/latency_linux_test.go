package hosts_test

import (
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// The kernel of most test machines cannot delay packets; a process that passes
// connections on can. It is this test's own program, on a host between the two.
const (
	asDelay  = "KOZO_HOSTS_DELAY" // HOST:PORT to pass connections on to
	oneWay   = 300 * time.Millisecond
	mostLate = 4096 // chunks on their way
)

// delay passes connections on, what comes and what goes each after the time that
// it takes one way.
func delay(to string) error {
	l, err := net.Listen("tcp", ":9001")
	if err != nil {
		return err
	}
	for {
		near, err := l.Accept()
		if err != nil {
			return err
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			_ = near.Close()
			continue
		}
		go late(near, far)
		go late(far, near)
	}
}

// late copies with a delay and at full speed.
func late(to, from net.Conn) {
	type chunk struct {
		due   time.Time
		bytes []byte
	}
	chunks := make(chan chunk, mostLate)
	go func() {
		defer close(chunks)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if err != nil {
				return
			}
			chunks <- chunk{time.Now().Add(oneWay), b[:n]}
		}
	}()
	for c := range chunks {
		time.Sleep(time.Until(c.due))
		if _, err := to.Write(c.bytes); err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
	_, _ = io.Copy(io.Discard, from)
}

// A way that takes long is a good one: the link says how long, and loses nothing.
func TestLatency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "peer",
		member{name: "alice", block: "    othersToSelfConnectPolicy: never\n"},
		member{name: "bob", address: "10.77.0.50"})
	var err error
	w.hosts["between"], err = w.lab.Host("between", "10.77.0.50/24")
	w.do(err)
	self, err := os.Executable()
	w.do(err)
	w.beside("between", "env", asDelay+"="+ip(1)+":9001", self)
	w.start("alice", "bob")
	took := w.until("the link", back, func() bool { return w.link("alice", "bob").State == "up" })
	// TCP's own round trip is not delayed; those of SSH and of the hellos are.
	if took < 3*2*oneWay {
		t.Errorf("it was up after %v, though a round trip takes %v", took, 2*oneWay)
	}
	t.Logf("up after %v", took)
	w.flow("alice", "bob", 200)
	w.until("the round trip to be measured", back, func() bool {
		s := w.link("alice", "bob").RoundTrip
		return s >= 2*oneWay.Seconds() && s < 4*oneWay.Seconds()
	})
	w.steady("alice", "bob")
	w.hush()
	w.account("alice", "bob")
}
