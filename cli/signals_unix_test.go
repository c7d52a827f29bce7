//go:build unix

package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TestAudience breaks pipes: one that stands for the connections of a node,
// which come and go, and one to which the program prints.
func TestAudience(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, audience := whileRead(t.Context())
	defer audience.dismiss()
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGPIPE)
	defer signal.Stop(came)

	for range 50 {
		if _, err := w.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Fatalf("the pipe is not broken: %v", err)
		}
		<-came
	}
	if ctx.Err() != nil {
		t.Fatal("a broken connection was taken for an output that nobody reads")
	}
	if _, err := audience.of(w).Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("writing says %v", err)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); cause != errUnread {
		t.Errorf("the cause is %v", cause)
	}

	// Ctrl-C ends the reader too. The signal is what counts then.
	signaled, cancel := context.WithCancel(t.Context())
	ctx, late := whileRead(signaled)
	defer late.dismiss()
	cancel()
	_, _ = late.of(w).Write([]byte("x"))
	if cause := context.Cause(ctx); cause != context.Canceled {
		t.Errorf("after a signal the cause is %v", cause)
	}
}
