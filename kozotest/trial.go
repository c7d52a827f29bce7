package kozotest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"kozo"
)

// keep notes what must be closed at the end of the check.
func (t *trial) keep(c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closers = append(t.closers, c)
}

// close closes what the check has opened, the newest first. That some of it is
// closed already is no error.
func (t *trial) close() {
	t.Helper()
	t.mu.Lock()
	all := t.closers
	t.over = true
	t.mu.Unlock()
	t.within("closing everything", func() {
		for _, c := range slices.Backward(all) {
			_ = c.Close()
		}
	})
}

// within runs a step, and ends the check if it takes too long. The step must not
// end the check itself.
func (t *trial) within(what string, step func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		step()
	}()
	timer := time.NewTimer(t.o.Patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatalf("%s: not done within %v", what, t.o.Patience)
	}
}

// listen opens the side that listens.
func (t *trial) listen() net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	t.within("Listen", func() {
		ctx, cancel := context.WithTimeout(context.Background(), t.o.Patience)
		defer cancel()
		l, err = t.far.Listen(ctx, t.farEnv)
	})
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	t.keep(l)
	if l.Addr() == nil || l.Addr().String() == "" {
		t.Error("the listener does not say its address; Addr is shown to people")
	}
	return l
}

// dial dials with a context that ends when Dial has returned, since a node's
// does that, too.
func (t *trial) dial(endpoint string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.o.Patience)
	defer cancel()
	return t.dialWith(ctx, endpoint)
}

func (t *trial) dialWith(ctx context.Context, endpoint string) (net.Conn, error) {
	c, err := t.near.Dial(ctx, t.nearEnv, endpoint)
	switch {
	case err != nil && c != nil:
		t.Errorf("Dial returned a connection and an error, %v", err)
	case err == nil && c == nil:
		return nil, errors.New("there is neither a connection nor an error")
	case err == nil:
		t.keep(c)
	}
	return c, err
}

// accept accepts a connection.
func (t *trial) accept(l net.Listener) (net.Conn, error) {
	c, err := l.Accept()
	if err != nil {
		return nil, err
	}
	t.keep(c)
	return c, nil
}

// pair dials an endpoint and returns both ends of the connection: the one that
// dialled first. They have said something to each other.
func (t *trial) pair(l net.Listener, endpoint string) (near, far net.Conn) {
	t.Helper()
	var errs [2]error
	t.within("connecting to "+endpoint, func() {
		var accepting sync.WaitGroup
		accepting.Go(func() { far, errs[1] = t.acceptSpeaking(l) })
		if near, errs[0] = t.dial(endpoint); errs[0] == nil {
			errs[0] = meet(near, 1, 1)
		}
		if errs[0] != nil {
			_ = l.Close() // nobody else comes
		}
		accepting.Wait()
	})
	if err := errs[0]; err != nil {
		t.Fatalf("the side that dialled %s: %v", endpoint, err)
	}
	if err := errs[1]; err != nil {
		t.Fatalf("the side that accepted: %v", err)
	}
	for name, c := range map[string]net.Conn{"dialled": near, "accepted": far} {
		if c.LocalAddr() == nil || c.RemoteAddr() == nil {
			t.Errorf("the %s connection does not say its addresses", name)
		}
	}
	return near, far
}

// acceptSpeaking accepts the connection of somebody who meets this side. A
// transport may try several ways at once; those that it gives up end without a
// word.
func (t *trial) acceptSpeaking(l net.Listener) (net.Conn, error) {
	for {
		c, err := t.accept(l)
		if err != nil {
			return nil, err
		}
		if err := echo(c); err != io.EOF {
			return c, err
		}
		_ = c.Close()
	}
}

// echo answers meet. The error is io.EOF if the other side has not said a word.
func echo(c net.Conn) error {
	var b [8]byte
	if n, err := io.ReadFull(c, b[:]); n == 0 && err != nil {
		return io.EOF
	} else if err != nil {
		return fmt.Errorf("its first read: %w", err)
	}
	if _, err := c.Write(b[:]); err != nil {
		return fmt.Errorf("its first write: %w", err)
	}
	return nil
}

// meet exchanges numbers with the other end.
func meet(c net.Conn, ours, theirs uint64) error {
	if _, err := c.Write(binary.BigEndian.AppendUint64(nil, ours)); err != nil {
		return fmt.Errorf("its first write: %w", err)
	}
	var b [8]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return fmt.Errorf("its first read: %w", err)
	}
	if got := binary.BigEndian.Uint64(b[:]); got != theirs {
		return fmt.Errorf("it has read %x and not the %x that the other side has written", got, theirs)
	}
	return nil
}

// first returns the best endpoint.
func (t *trial) first() string { return t.far.Endpoints()[0] }

// connect listens and returns the ends of a connection.
func (t *trial) connect() (near, far net.Conn) {
	t.Helper()
	return t.pair(t.listen(), t.first())
}

// sides runs a part of a check twice, each time on a connection of its own: with
// the end that dialled as the first one, and the other way round.
func (t *trial) sides(part func(who string, a, b net.Conn)) {
	t.Helper()
	l := t.listen()
	defer l.Close()
	near, far := t.pair(l, t.first())
	part("the dialling side", near, far)
	near, far = t.pair(l, t.first())
	part("the accepting side", far, near)
}

// Errorf fails the test. After the end of the check it does nothing: whatever is
// still under way fails since everything was closed.
func (t *trial) Errorf(format string, args ...any) {
	t.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.TB.Errorf(format, args...)
	}
}

// isTimeout says whether an error is what reading or writing beyond a deadline
// must return.
func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) && errors.As(err, &n) && n.Timeout()
}

// canConnect says whether one transport can dial the other.
func canConnect(near, far kozo.Transport) bool {
	if c, ok := near.(kozo.Connector); ok {
		return c.CanConnect(far)
	}
	return true
}
