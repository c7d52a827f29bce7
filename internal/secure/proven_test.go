package secure

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/memnet"
)

// Proven connections are for transports that encrypt by themselves.
func TestProvenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := &Config{IdleTimeout: func(kozo.NodeName) time.Duration { return time.Second }}
		x, y := memnet.Pipe()
		a, b := served(Proven(x, "b", true, cfg)), served(Proven(y, "a", false, cfg))
		if a.Peer() != "b" || b.Peer() != "a" || a.Carries() {
			t.Error("the ends do not know each other")
		}
		out, err := a.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in := b.accept(t)
		if _, err := out.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(in, got); err != nil || string(got) != "hello" || b.Received() != 5 || a.Sent() != 5 {
			t.Errorf("%q, %v", got, err)
		}
		for _, c := range []*end{a, b} {
			if _, err := c.Open(t.Context()); !errors.Is(err, errOnly) {
				t.Errorf("another stream: %v", err)
			}
		}
		// A byte keeps it alive, and silence ends it.
		for range 3 {
			time.Sleep(900 * time.Millisecond)
			if _, err := out.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(in, got[:1]); err != nil {
				t.Error(err)
			}
		}
		if _, err := in.Read(got); err == nil || err.Error() != "nothing received for 1s" {
			t.Errorf("after a second of silence: %v", err)
		}
		if _, err := out.Read(got); !errors.Is(err, ErrPeerClosed) {
			t.Errorf("the other end: %v", err)
		}
		if _, err := a.Open(t.Context()); !errors.Is(err, ErrPeerClosed) {
			t.Errorf("a stream on a dead connection: %v", err)
		}
		<-a.over
		<-b.over
	})
}

// The end of the stream is the end of the connection.
func TestProvenStreamIsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := memnet.Pipe()
		a, b := served(Proven(x, "b", true, &Config{})), served(Proven(y, "a", false, &Config{}))
		out, _ := a.Open(t.Context())
		in := b.accept(t)
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		<-b.Done()
		if _, err := out.Read(make([]byte, 1)); !errors.Is(err, ErrPeerClosed) {
			t.Error(err)
		}
		<-a.Done()
		if !errors.Is(b.Err(), ErrClosed) {
			t.Error(b.Err())
		}
	})
}
