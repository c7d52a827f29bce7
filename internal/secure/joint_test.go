package secure

import (
	"bytes"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"
)

// allPairs returns every cipher with every code for authentication that it can
// have, and which of them have pieces of packets put together.
func allPairs() map[ssh.DirectionAlgorithms]bool {
	pairs := map[ssh.DirectionAlgorithms]bool{}
	all := ssh.SupportedAlgorithms()
	for _, cipher := range all.Ciphers {
		for _, mac := range all.MACs {
			switch cipher {
			case ssh.CipherAES128GCM, ssh.CipherAES256GCM:
				pairs[ssh.DirectionAlgorithms{Cipher: cipher}] = true
			case ssh.CipherChaCha20Poly1305:
				pairs[ssh.DirectionAlgorithms{Cipher: cipher}] = false
			default:
				pairs[ssh.DirectionAlgorithms{Cipher: cipher, MAC: mac}] = mac != ssh.HMACSHA256 && mac != ssh.HMACSHA512
			}
		}
	}
	return pairs
}

// Packets of every length around those that fill whole pieces must arrive, though
// nothing is written after them.
func TestNoEndOfAPacketIsHeldBack(t *testing.T) {
	for pair, joins := range allPairs() {
		t.Run(pair.Cipher+" "+pair.MAC, func(t *testing.T) {
			inMemory(t, func(t *testing.T, net network) {
				s := newSystem(t, "clock", "scribe")
				client := s.config("clock")
				client.Ciphers = []string{pair.Cipher}
				if pair.MAC != "" {
					client.MACs = []string{pair.MAC}
				}
				a, b := connect(t, net, client, s.config("scribe"))
				if a.raw.joins.Load() != joins || b.raw.joins.Load() != joins {
					t.Errorf("pieces are put together: %v", a.raw.joins.Load())
				}
				x, y := streams(t, a, b)
				var arrived atomic.Int64
				go io.Copy(counter{&arrived}, y)
				for _, pieces := range []int{1, 2, 3, 8} {
					for n := pieces*piece - 140; n <= min(pieces*piece+20, 32<<10); n++ {
						arrived.Store(0)
						if _, err := x.Write(make([]byte, n)); err != nil {
							t.Fatal(err)
						}
						synctest.Wait()
						if got := arrived.Load(); got != int64(n) {
							t.Fatalf("%d of %d bytes have arrived", got, n)
						}
					}
				}
			})
		})
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func TestPiecesArePutTogether(t *testing.T) {
	x, y := socketPair(t)
	defer x.Close()
	defer y.Close()
	var j joint
	first, second := bytes.Repeat([]byte{1}, piece), []byte{2, 3}
	if j.hold(second) || !j.hold(first) {
		t.Fatal("not a whole piece was held, or one was not")
	}
	if j.hold(first) {
		t.Error("two pieces were held")
	}
	clear(first) // it belongs to the ssh package again
	if n, err := j.write(x, second); n != piece+2 || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, piece+2)
	if _, err := io.ReadFull(y, got); err != nil || !slices.Equal(got, append(bytes.Repeat([]byte{1}, piece), second...)) {
		t.Errorf("%v, %v ...", err, got[:4])
	}
	for range calm {
		if j.first == nil {
			t.Error("the memory for long packets is not kept while there are some")
		}
		if n, err := j.write(x, second); n != 2 || err != nil {
			t.Fatal(n, err)
		}
	}
	if j.first != nil {
		t.Error("the memory for long packets is kept for ever")
	}
}

// What a write reports is what its caller gave it.
func TestFailedWriteOfTwoPieces(t *testing.T) {
	x, y := net.Pipe()
	y.Close()
	r := newRaw(x, &Config{})
	r.joins.Store(true)
	r.gate.open()
	if n, err := r.Write(make([]byte, piece)); n != piece || err != nil {
		t.Fatal(n, err)
	}
	if n, err := r.Write(make([]byte, 100)); n != 0 || err == nil {
		t.Fatal(n, err)
	}
	if r.sent.Load() != 0 {
		t.Errorf("%d bytes were counted", r.sent.Load())
	}
}
