package secure

import (
	"errors"
	"sync"
	"time"
)

var errCannotOpen = errors.New("too many streams are being opened")

// opens counts the streams that are being opened. The ssh package waits for ever
// for the answer to a request to open one if the connection ended just before it
// noted the request, so the end is told to it a little later in that case.
type opens struct {
	sync.Mutex
	n    int
	over bool
}

const (
	maxOpens   = 4
	settleTime = 100 * time.Millisecond
)

// begin adds a task for opening a stream, while there are other tasks.
func (o *opens) begin(tasks *sync.WaitGroup) error {
	o.Lock()
	defer o.Unlock()
	if o.over {
		return ErrClosed
	}
	if o.n >= maxOpens {
		return errCannotOpen
	}
	o.n++
	tasks.Add(1)
	return nil
}

func (o *opens) done() {
	o.Lock()
	defer o.Unlock()
	o.n--
}

// forbid lets no more streams be opened, and reports whether some are being
// opened for the first time it is called.
func (o *opens) forbid() bool {
	o.Lock()
	defer o.Unlock()
	some := o.n > 0 && !o.over
	o.over = true
	return some
}

// settle forbids to open more streams, and lets those that are being opened get
// to the point where they notice the end.
func (o *opens) settle() {
	if o.forbid() {
		time.Sleep(settleTime)
	}
}
