package secure

import (
	"crypto/rand"
	"io"
	"sync"
)

// padding is a source of random bytes that does not ask the operating system for
// the few bytes that pad each packet. What could be a key is long and comes from
// the system directly.
type padding struct {
	sync.Mutex
	buffer [512]byte
	left   int
}

var _ io.Reader = (*padding)(nil)

// maxPadding is more than the padding of any packet, and less than any key.
const maxPadding = 24

func (r *padding) Read(p []byte) (int, error) {
	if len(p) > maxPadding {
		return rand.Read(p)
	}
	r.Lock()
	defer r.Unlock()
	if r.left < len(p) {
		if _, err := rand.Read(r.buffer[:]); err != nil {
			return 0, err
		}
		r.left = len(r.buffer)
	}
	r.left -= len(p)
	used := r.buffer[r.left : r.left+len(p)]
	copy(p, used)
	clear(used)
	return len(p), nil
}
