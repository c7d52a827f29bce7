package socks

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sink takes everything at once, up to a limit, and notes when.
type sink struct {
	net.Conn
	limit int

	mu  sync.Mutex
	got []byte
	at  map[time.Time]int // how much it got at which moment
}

var errFull = errors.New("full")

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(b), s.limit-len(s.got))
	s.got = append(s.got, b[:n]...)
	s.at[time.Now()] += n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// However much is written, there is a pause after each burst, and whoever writes
// little is not held up at all.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{limit: 1 << 30, at: map[time.Time]int{}}
		c := Paced(s)
		var want []byte
		begun := time.Now()
		for size := 1; size < 2<<20; size = 2*size + 1 {
			b := bytes.Repeat([]byte{byte(size)}, size)
			if n, err := c.Write(b); n != size || err != nil {
				t.Fatalf("of %d bytes %d are written: %v", size, n, err)
			}
			want = append(want, b...)
			if len(want) <= burst && time.Since(begun) > 0 {
				t.Errorf("there is a pause within the first %d bytes", len(want))
			}
		}
		if !bytes.Equal(s.got, want) {
			t.Error("what arrives is not what was written")
		}
		for at, n := range s.at {
			if n > burst {
				t.Errorf("%d bytes at once after %v", n, at.Sub(begun))
			}
		}
		if took, most := time.Since(begun), time.Duration(len(want)/burst)*pause; took > most {
			t.Errorf("%d bytes take %v, more than %v", len(want), took, most)
		}
	})
}

// What was written before an error counts, and several may write.
func TestPacedErrorsAndWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 3*burst + 1000
		s := &sink{limit: limit, at: map[time.Time]int{}}
		c := Paced(s)
		if n, err := c.Write(nil); n != 0 || err != nil {
			t.Errorf("writing nothing: %d, %v", n, err)
		}
		var wrote [4]int
		var writing sync.WaitGroup
		for i := range wrote {
			writing.Go(func() {
				for {
					n, err := c.Write(make([]byte, 30_000))
					wrote[i] += n
					if err != nil {
						if !errors.Is(err, errFull) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		writing.Wait()
		if sum := wrote[0] + wrote[1] + wrote[2] + wrote[3]; sum != limit {
			t.Errorf("%d bytes were written, and there is room for %d", sum, limit)
		}
	})
}
