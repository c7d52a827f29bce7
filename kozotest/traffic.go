package kozotest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Either side may close in the middle of everything. What it has written before
// arrives, and then the other side is told.
func checkClosing(t *trial) {
	t.sides(func(who string, a, b net.Conn) {
		const words = "famous last words"
		t.within("closing "+who, func() {
			if _, err := a.Write([]byte(words)); err != nil {
				t.Errorf("%s: %v", who, err)
			}
			_ = a.Close()
			got, err := io.ReadAll(b)
			if isTimeout(err) {
				t.Errorf("%s has closed, and the other one gets %v", who, err)
			}
			if string(got) != words {
				t.Errorf("%s has written %q and closed, and the other one has read %q (%v)", who, words, got, err)
			}
			if _, err := a.Write([]byte("x")); err == nil {
				t.Errorf("%s can write after it has closed", who)
			}
			if _, err := a.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s can read after it has closed", who)
			}
			_ = a.Close()
		})
		t.within("a write to the other end, which has closed", func() {
			if n := fill(b, t.o.Buffer); n > t.o.Buffer {
				t.Errorf("%s has closed, and the other one could write %d bytes; its writes should fail", who, n)
			}
		})
	})
	t.sides(func(who string, a, b net.Conn) {
		var calls sync.WaitGroup
		calls.Go(func() { _, _ = a.Read(make([]byte, 1)) })
		calls.Go(func() { _ = fill(a, t.o.Buffer) })
		time.Sleep(t.o.Pause) // until they are in the middle of it; it does not matter if they are not
		t.within("closing "+who+" while it reads and writes", func() { _ = a.Close() })
		t.within("the end of reading and writing after "+who+" was closed", calls.Wait)
	})
	t.sides(func(who string, a, b net.Conn) {
		var calls sync.WaitGroup
		calls.Go(func() { drain(b) })
		time.Sleep(t.o.Pause)
		_ = a.Close()
		t.within("the end of a read after the other end, "+who+", was closed", calls.Wait)
	})
}

// fill writes until that fails, or until more is written than fits.
func fill(c net.Conn, most int) (n int) {
	piece := make([]byte, 16<<10)
	for n <= most {
		k, err := c.Write(piece)
		n += k
		if err != nil {
			break
		}
	}
	return n
}

func drain(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

type halfCloser interface{ CloseWrite() error }

func checkHalfClose(t *trial) {
	can := 0
	t.sides(func(who string, a, b net.Conn) {
		h, ok := a.(halfCloser)
		if !ok {
			return
		}
		can++
		t.within(who+" ends what it sends", func() {
			if _, err := a.Write([]byte("the end")); err != nil {
				t.Errorf("%s: %v", who, err)
			}
			if err := h.CloseWrite(); err != nil {
				t.Errorf("%s: CloseWrite: %v", who, err)
			}
			if got, err := io.ReadAll(b); string(got) != "the end" || err != nil {
				t.Errorf("after CloseWrite of %s the other one has read %q, %v", who, got, err)
			}
			if _, err := a.Write([]byte("x")); err == nil {
				t.Errorf("%s can write after CloseWrite", who)
			}
		})
		t.within("the other direction after CloseWrite of "+who, func() {
			const more = "and another thing"
			if _, err := b.Write([]byte(more)); err != nil {
				t.Errorf("after CloseWrite of %s the other one cannot write: %v", who, err)
			}
			_ = b.Close()
			if got, err := io.ReadAll(a); string(got) != more {
				t.Errorf("after its CloseWrite %s has read %q, %v", who, got, err)
			}
		})
	})
	if can == 0 {
		t.Skip("the connections have no CloseWrite")
	}
}

func checkDeadlines(t *trial) {
	const wait = 50 * time.Millisecond
	t.sides(func(who string, a, b net.Conn) {
		late := func(what string, err error, start time.Time, least time.Duration) {
			t.Helper()
			if !isTimeout(err) {
				t.Errorf("%s, %s: %v, which is not os.ErrDeadlineExceeded with Timeout", who, what, err)
			}
			if took := time.Since(start); took < least {
				t.Errorf("%s, %s: it has ended after %v, before the deadline", who, what, took)
			}
		}
		one := make([]byte, 1)
		t.within(who+" reads up to a deadline", func() {
			start := time.Now()
			_ = a.SetReadDeadline(start.Add(wait))
			_, err := a.Read(one)
			late("reading", err, start, wait)
			_, err = a.Read(one)
			late("reading again", err, start, wait)
		})
		t.within(who+" extends the deadline of a read", func() {
			start, extended := time.Now(), make(chan bool, 1)
			_ = a.SetReadDeadline(start.Add(4 * wait))
			time.AfterFunc(wait, func() {
				_ = a.SetReadDeadline(start.Add(5 * wait))
				extended <- time.Since(start) < 4*wait
			})
			_, err := a.Read(one)
			if took := time.Since(start); <-extended { // and not too late for it
				late(fmt.Sprintf("reading with an extended deadline, for %v", took), err, start, 5*wait)
			}
		})
		t.within(who+" gets a deadline in the past while it reads", func() {
			start := time.Now()
			_ = a.SetReadDeadline(time.Time{})
			defer time.AfterFunc(wait, func() { _ = a.SetReadDeadline(time.Unix(1, 0)) }).Stop()
			_, err := a.Read(one)
			late("reading with a deadline that was put into the past", err, start, wait)
		})
		t.within(who+" gets a deadline in the past for everything", func() {
			_ = a.SetDeadline(time.Now().Add(-time.Second))
			_, err := a.Read(one)
			late("reading", err, time.Now(), 0)
		})
		_ = a.SetDeadline(time.Time{})
		t.talk(a, b) // a deadline that is taken back has changed nothing
		t.within(who+" writes up to a deadline, and nobody reads", func() {
			start := time.Now()
			piece := make([]byte, 16<<10)
			for n := 0; ; {
				_ = a.SetWriteDeadline(time.Now().Add(wait))
				k, err := a.Write(piece)
				if n += k; err != nil {
					late("writing while nobody reads", err, start, wait)
					return
				}
				if n > t.o.Buffer {
					t.Errorf("%s: %d bytes could be written and nobody reads", who, n)
					return
				}
			}
		})
		// Nothing is asked of a connection after that: a node gives it up, and an
		// encrypted one cannot go on in the middle of a record.
		t.within(who+" writes with a deadline in the past", func() {
			_ = a.SetDeadline(time.Now().Add(-time.Second))
			_, err := a.Write(one)
			late("writing", err, time.Now(), 0)
		})
	})
}

func checkMany(t *trial) {
	l := t.listen()
	n := t.o.Conns
	near, far := make(chan net.Conn, n), make(chan net.Conn, n)
	t.within(fmt.Sprintf("%d connections at once", n), func() {
		var dialling, accepting sync.WaitGroup
		accepting.Go(func() {
			for {
				c, err := t.accept(l)
				if err != nil {
					return
				}
				accepting.Go(func() {
					if echo(c) == nil {
						far <- c
					}
				})
			}
		})
		for i := range n {
			dialling.Go(func() {
				c, err := t.dial(t.first())
				if err == nil {
					err = meet(c, uint64(i), uint64(i))
				}
				if err != nil {
					t.Errorf("connection %d of %d at once: %v", i+1, n, err)
					return
				}
				near <- c
			})
		}
		dialling.Wait()
		_ = l.Close()
		accepting.Wait()
	})
	if len(near) < n || len(far) < n {
		t.Fatalf("of %d connections at once %d could be dialled and %d accepted", n, len(near), len(far))
	}
	// All of them are open. Each still works, and ends on its own.
	t.within("using and closing them", func() {
		var all sync.WaitGroup
		for range n {
			c, other := <-near, <-far
			all.Go(func() {
				_, _ = c.Write([]byte("x"))
				_ = c.Close()
			})
			all.Go(func() {
				if got, err := io.ReadAll(other); string(got) != "x" {
					t.Errorf("one of %d connections has read %q, %v", n, got, err)
				}
			})
		}
		all.Wait()
	})
}

// flow is a reproducible flow of bytes in which any loss shows.
func flow(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// verify reads bytes of a flow and says where they differ.
func verify(c io.Reader, want *rand.ChaCha8, at, n int) error {
	got, expected := make([]byte, n), make([]byte, n)
	k, err := io.ReadFull(c, got)
	_, _ = want.Read(expected[:k])
	if i := difference(got[:k], expected); i >= 0 {
		return fmt.Errorf("byte %d is not the one that was written", at+i)
	}
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", at+k, err)
	}
	return nil
}

func difference(got, want []byte) int {
	if bytes.Equal(got, want[:len(got)]) {
		return -1
	}
	for i := range got {
		if got[i] != want[i] {
			return i
		}
	}
	return -1
}

// Both ends write and read at once, in pieces of all sizes.
func checkBulk(t *trial) {
	near, far := t.connect()
	var all sync.WaitGroup
	for i, way := range [][2]net.Conn{{near, far}, {far, near}} {
		all.Go(func() { t.pour(way[0], byte(i)) })
		all.Go(func() {
			content, sizes := flow(byte(i)), rand.New(flow(byte(i+10)))
			for n := 0; n < t.o.Bytes; {
				size := min(1+sizes.IntN(100_000), t.o.Bytes-n)
				_ = way[1].SetReadDeadline(time.Now().Add(t.o.Patience))
				if err := verify(way[1], content, n, size); err != nil {
					t.Errorf("%d bytes each way at once: %v", t.o.Bytes, err)
					_, _ = near.Close(), far.Close()
					return
				}
				n += size
			}
		})
	}
	all.Wait() // each step has a deadline of its own
}

func (t *trial) pour(c net.Conn, seed byte) {
	content, sizes := flow(seed), rand.New(flow(seed+20))
	for n := 0; n < t.o.Bytes; {
		piece := make([]byte, min(1+sizes.IntN(100_000), t.o.Bytes-n))
		_, _ = content.Read(piece)
		_ = c.SetWriteDeadline(time.Now().Add(t.o.Patience))
		k, err := c.Write(piece)
		if err == nil && k < len(piece) {
			err = io.ErrShortWrite
		}
		if err != nil {
			t.Errorf("%d bytes each way at once: writing: %v", t.o.Bytes, err)
			_ = c.Close()
			return
		}
		n += k
	}
}

// A writer is held up when nobody reads, and goes on when somebody does.
func checkSlowReader(t *trial) {
	t.sides(func(who string, a, b net.Conn) {
		var wrote atomic.Int64
		var stop atomic.Bool
		var writing sync.WaitGroup
		writing.Go(func() {
			content, piece := flow(1), make([]byte, 8<<10)
			for !stop.Load() && wrote.Load() <= int64(t.o.Buffer) {
				_, _ = content.Read(piece)
				n, err := a.Write(piece)
				wrote.Add(int64(n))
				if err != nil {
					t.Errorf("%s, which is held up while nobody reads: %v", who, err)
					break
				}
			}
			_ = a.Close() // what is written arrives nevertheless
		})
		for last := int64(-1); last != wrote.Load(); time.Sleep(t.o.Pause) {
			last = wrote.Load()
		}
		stop.Store(true)
		if n := wrote.Load(); n > int64(t.o.Buffer) {
			t.Fatalf("%s could write %d bytes while nobody reads; writing must wait for the reader", who, n)
		}
		read, err := t.sip(b)
		if err != nil {
			t.Errorf("%s has been held up by a slow reader: %v", who, err)
			_ = a.Close()
		}
		t.within("the end of a write after everything was read", writing.Wait)
		if n := int(wrote.Load()); err == nil && read != n {
			t.Errorf("%s has been held up by a slow reader: it has written %d bytes, and %d could be read", who, n, read)
		}
	})
}

// sip reads up to the end, very little at first.
func (t *trial) sip(c net.Conn) (read int, err error) {
	content, piece := flow(1), make([]byte, 32<<10)
	for size := 1; ; size = min(2*size, len(piece)) {
		if size < 1<<10 {
			time.Sleep(time.Millisecond)
		}
		_ = c.SetReadDeadline(time.Now().Add(t.o.Patience))
		n, err := c.Read(piece[:size])
		want := make([]byte, n)
		_, _ = content.Read(want)
		if i := difference(piece[:n], want); i >= 0 {
			return read, fmt.Errorf("byte %d is not the one that was written", read+i)
		}
		read += n
		switch {
		case isTimeout(err):
			return read, fmt.Errorf("after %d bytes: %w", read, err)
		case err != nil:
			return read, nil
		}
	}
}
