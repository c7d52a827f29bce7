package kozotest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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

// close closes what the check has opened, all at once: a connection that says
// goodbye to somebody who does not read may take its time for that. That some of
// it is closed already is no error.
func (t *trial) close() {
	t.Helper()
	t.mu.Lock()
	all := t.closers
	t.over = true
	t.mu.Unlock()
	t.within("closing everything", func() {
		var closing sync.WaitGroup
		for _, c := range all {
			closing.Go(func() { _ = c.Close() })
		}
		closing.Wait()
		t.stop()
		t.running.Wait()
	})
}

// run runs what a transport needs to run, as a node does.
func (t *trial) run(ctx context.Context, tr kozo.Transport, env *kozo.TransportEnv) {
	if r, ok := tr.(kozo.Runner); ok {
		t.running.Go(func() {
			if err := r.Run(ctx, env); ctx.Err() == nil {
				t.Errorf("Run of %s has returned before its context was done: %v", env.Node, err)
			}
		})
	}
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
	remote := t.nearEnv.Peers[0]
	var c net.Conn
	var err error
	if s, ok := t.near.(kozo.Seeker); ok {
		c, err = s.Seek(ctx, t.nearEnv, remote, endpoint)
	} else {
		c, err = t.near.Dial(ctx, t.nearEnv, endpoint)
	}
	switch {
	case err != nil && c != nil:
		t.Errorf("Dial returned a connection and an error, %v", err)
	case err == nil && c == nil:
		return nil, errors.New("there is neither a connection nor an error")
	case err == nil:
		t.keep(c)
		return t.prove(ctx, t.near, t.nearEnv, c, &remote)
	}
	return c, err
}

// accept accepts a connection.
func (t *trial) accept(l net.Listener) (net.Conn, error) {
	for {
		c, err := l.Accept()
		if err != nil {
			return nil, err
		}
		t.keep(c)
		ctx, cancel := context.WithTimeout(context.Background(), t.o.Patience)
		c, err = t.prove(ctx, t.far, t.farEnv, c, nil)
		cancel()
		if err == nil {
			return c, nil
		}
	}
}

// prove lets a transport that is Secured do its handshake.
func (t *trial) prove(ctx context.Context, tr kozo.Transport, env *kozo.TransportEnv, raw net.Conn, remote *kozo.Remote) (net.Conn, error) {
	s, ok := tr.(kozo.Secured)
	if !ok {
		return raw, nil
	}
	c, name, err := s.Secure(ctx, env, raw, remote)
	if err != nil {
		return nil, fmt.Errorf("method Secure: %w", err)
	}
	t.keep(c)
	if want := env.Peers[0].Node; name != want {
		t.Errorf("Secure says that %q is at the other end, which is %q", name, want)
	}
	return c, nil
}

// pair dials an endpoint and returns both ends of the connection: the one that
// dialled first. They have said something to each other.
func (t *trial) pair(l net.Listener, endpoint string) (near, far net.Conn) {
	t.Helper()
	if t.o.Conns == 1 {
		t.hangUp()
	}
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

// hangUp closes all connections.
func (t *trial) hangUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.closers {
		if c, ok := c.(net.Conn); ok {
			_ = c.Close()
		}
	}
}

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
func canConnect(near kozo.Transport, far kozo.Remote) bool {
	switch t := near.(type) {
	case kozo.Seeker:
		return t.CanSeek(far)
	case kozo.Connector:
		return t.CanConnect(far.Transport)
	}
	return true
}
