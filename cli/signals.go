package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"kozo/internal/node"
)

// sameSignal is how long after the first signal a second one is taken for the
// same: "timeout", for one, sends it both to the program and to its group.
const sameSignal = 300 * time.Millisecond

// stopOnSignal returns a context that the first signal to stop ends. A second one
// has its usual effect, which is to end the program. The function that is
// returned gives the signals back.
func stopOnSignal(ctx context.Context) (context.Context, func()) {
	ctx, giveBack := signal.NotifyContext(ctx, stopSignals()...)
	ended := make(chan struct{})
	waiting := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(sameSignal):
		case <-ended:
		}
		giveBack()
	})
	return ctx, sync.OnceFunc(func() {
		waiting()
		close(ended)
		giveBack()
	})
}

// reopenRequests returns a channel that gets the signals to open files again.
func reopenRequests() chan os.Signal {
	requests := make(chan os.Signal, 1)
	if signals := reopenSignals(); len(signals) > 0 { // none would mean all of them
		signal.Notify(requests, signals...)
	}
	return requests
}

func reopenOn(ctx context.Context, requests chan os.Signal, n *node.Node) {
	defer signal.Stop(requests)
	for {
		select {
		case <-ctx.Done():
			return
		case <-requests:
			n.Reopen()
		}
	}
}

// stopWithTerminal is stopOnSignal for what makes no sense without the terminal
// from which it was started, or without a reader of what it prints.
func stopWithTerminal(ctx context.Context) (context.Context, func()) {
	ctx, stop := stopOnSignal(ctx)
	ctx, hangup := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGPIPE)
	return ctx, func() {
		hangup()
		stop()
	}
}

// whileRead returns a context that ends when something is written to a pipe that
// nobody reads any more. Otherwise that would end the program on the spot, with
// all that a node has still to flush and to say.
func whileRead(ctx context.Context) (context.Context, func()) {
	return signal.NotifyContext(ctx, syscall.SIGPIPE)
}
