package memnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The conformance suite of the Go project for net.Conn, which checks races of
// reads, writes, deadlines and Close.
func TestConformance(t *testing.T) {
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		a, b = Pipe()
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func pipe() (a, b *Conn) {
	x, y := Pipe()
	return x.(*Conn), y.(*Conn)
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
		t.Fatalf("Write returned %d, %v", n, err)
	}
}

func read(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func readError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if n, err := c.Read(make([]byte, 10)); n != 0 || !errors.Is(err, want) {
		t.Fatalf("Read returned %d, %v; want %v", n, err, want)
	}
}

func writeError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if _, err := c.Write(make([]byte, 10)); !errors.Is(err, want) {
		t.Fatalf("Write returned %v; want %v", err, want)
	}
}

func TestCloseIsThatOfTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		write(t, a, "last words")
		a.Close()
		readError(t, a, net.ErrClosed)
		writeError(t, a, net.ErrClosed)
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the second Close returned %v", err)
		}
		read(t, b, "last words")
		readError(t, b, io.EOF)
		readError(t, b, io.EOF)
		writeError(t, b, syscall.EPIPE)
		b.Close()

		a, b = pipe()
		write(t, a, "said before")
		write(t, b, "never read")
		a.Close()
		read(t, b, "said before")
		readError(t, b, syscall.ECONNRESET)
		b.Close()

		a, b = pipe()
		a.CloseWrite()
		readError(t, b, io.EOF)
		write(t, b, "the other half works")
		read(t, a, "the other half works")
		writeError(t, a, syscall.EPIPE)
		a.Close()
		b.Close()
	})
}

// What a peer that has closed is sent makes its host answer with a reset, if
// both ways are open, and only then.
func TestCloseAndWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		a.Shape(Conditions{Latency: time.Second})
		write(t, a, "arrives after the end")
		b.Close()
		readError(t, a, syscall.ECONNRESET)
		a.Close()

		for _, stop := range []func(a, b *Conn){
			func(a, b *Conn) { a.Freeze(true) },
			func(a, b *Conn) { b.Freeze(true) },
			func(a, b *Conn) { b.BlackHole() },
		} {
			a, b = pipe()
			stop(a, b)
			b.Close()
			write(t, a, "nobody says that this is in vain")
			a.Close()
		}
	})
}

// Bytes keep their order when the line gets faster.
func TestNoOvertaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		a.Shape(Conditions{Latency: time.Second, Bandwidth: 1000})
		write(t, a, "slow ")
		a.Shape(Conditions{})
		write(t, a, "fast")
		a.Close()
		got, err := io.ReadAll(b)
		if string(got) != "slow fast" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		b.Close()
	})
}

func TestCloseWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read returned %v", err)
			}
		})
		wg.Go(func() {
			n, err := a.Write(make([]byte, 2*Buffer))
			if n != Buffer || !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write returned %d, %v", n, err)
			}
		})
		synctest.Wait()
		a.Close()
		wg.Wait()
		if n, err := io.Copy(io.Discard, b); n != Buffer || err != nil {
			t.Errorf("%d bytes arrived, %v", n, err)
		}
		b.Close()
	})
}

func TestBufferAndDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		start := time.Now()
		a.SetWriteDeadline(start.Add(time.Minute))
		n, err := a.Write(make([]byte, Buffer+1))
		if n != Buffer || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("Write returned %d, %v after %v", n, err, time.Since(start))
		}
		if nerr, ok := errors.AsType[net.Error](err); !ok || !nerr.Timeout() {
			t.Errorf("%v is not a timeout", err)
		}
		b.SetReadDeadline(time.Now().Add(-1))
		readError(t, b, os.ErrDeadlineExceeded)
		b.SetReadDeadline(time.Time{})
		if _, err := io.ReadFull(b, make([]byte, Buffer)); err != nil {
			t.Error(err)
		}
		time.AfterFunc(time.Minute, func() { b.SetReadDeadline(time.Now()) })
		readError(t, b, os.ErrDeadlineExceeded)
		a.SetWriteDeadline(time.Time{})
		write(t, a, "again")
		b.SetReadDeadline(time.Time{})
		read(t, b, "again")
		a.Close()
		b.Close()
	})
}

func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		write(t, a, "lost")
		a.Reset()
		for _, c := range []*Conn{a, b} {
			readError(t, c, syscall.ECONNRESET)
			writeError(t, c, syscall.EPIPE)
			c.Close()
		}
	})
}

// One direction is dead and the other one works: nobody is told.
func TestBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		a.Shape(Conditions{Latency: time.Second})
		write(t, a, "arrives")
		time.Sleep(time.Second)
		write(t, a, "on its way")
		a.BlackHole()
		for range 3 {
			write(t, a, string(make([]byte, Buffer)))
		}
		write(t, b, "this direction works")
		read(t, a, "this direction works")
		read(t, b, "arrives")
		a.Close()
		b.SetReadDeadline(time.Now().Add(time.Hour))
		readError(t, b, os.ErrDeadlineExceeded)
		b.Close()
	})
}

func TestFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		write(t, a, "before ")
		a.Freeze(true)
		write(t, a, "meanwhile")
		b.SetReadDeadline(time.Now().Add(time.Hour))
		read(t, b, "before ")
		readError(t, b, os.ErrDeadlineExceeded)
		b.SetReadDeadline(time.Time{})
		a.SetWriteDeadline(time.Now().Add(time.Hour))
		if n, err := a.Write(make([]byte, 2*Buffer)); n != Buffer-len("meanwhile") ||
			!errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write returned %d, %v", n, err)
		}
		a.Close()
		time.AfterFunc(time.Minute, func() { a.Freeze(false) })
		read(t, b, "meanwhile")
		if n, err := io.Copy(io.Discard, b); n != Buffer-int64(len("meanwhile")) || err != nil {
			t.Errorf("%d bytes arrived after the thaw, %v", n, err)
		}
		b.Close()
	})
}

func TestLatencyAndBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		start := time.Now()
		a.Shape(Conditions{Latency: 300 * time.Millisecond})
		write(t, a, "one")
		time.Sleep(100 * time.Millisecond)
		write(t, a, "two")
		read(t, b, "one")
		if d := time.Since(start); d != 300*time.Millisecond {
			t.Errorf("arrived after %v", d)
		}
		read(t, b, "two")
		if d := time.Since(start); d != 400*time.Millisecond {
			t.Errorf("arrived after %v", d)
		}

		// 1 MB at 20 kB/s; the buffer makes the writer wait, too.
		start = time.Now()
		a.Shape(Conditions{Bandwidth: 20000})
		sent := bytes.Repeat([]byte("0123456789"), 100000)
		var wg sync.WaitGroup
		wg.Go(func() {
			a.Write(sent)
			a.Close()
			if d := time.Since(start); d < 35*time.Second {
				t.Errorf("the writer was done after %v", d)
			}
		})
		one := make([]byte, 1)
		b.Read(one)
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("the first byte arrived after %v: the line should trickle", d)
		}
		got, err := io.ReadAll(b)
		if !bytes.Equal(append(one, got...), sent) || err != nil {
			t.Errorf("%d bytes arrived, %v", len(got), err)
		}
		if d := time.Since(start); d.Round(time.Second) != 50*time.Second {
			t.Errorf("1 MB at 20 kB/s took %v", d)
		}
		wg.Wait()
		b.Close()
	})
}
