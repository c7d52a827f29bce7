package cli

import (
	"context"
	"errors"
	"io"
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
// from which it was started.
func stopWithTerminal(ctx context.Context) (context.Context, func()) {
	ctx, stop := stopOnSignal(ctx)
	ctx, hangup := signal.NotifyContext(ctx, syscall.SIGHUP)
	return ctx, func() {
		hangup()
		stop()
	}
}

// audience is who reads what the program prints. It has left when something is
// written to a pipe that nobody reads any more; that would otherwise end the
// program on the spot, with all that a node has still to flush and to say.
type audience struct {
	leave  context.CancelCauseFunc
	broken chan os.Signal // asked for so that the signal ends nothing
}

// errUnread is the cause of the end when the audience has left.
var errUnread = errors.New("nobody reads its output any more")

// whileRead returns a context that ends when the audience leaves, with the cause
// errUnread. Only what is written by way of it counts: the signal itself comes
// from every broken connection as well.
func whileRead(ctx context.Context) (context.Context, *audience) {
	ctx, leave := context.WithCancelCause(ctx)
	a := &audience{leave, make(chan os.Signal, 1)}
	signal.Notify(a.broken, syscall.SIGPIPE)
	return ctx, a
}

// dismiss gives back what whileRead took.
func (a *audience) dismiss() {
	signal.Stop(a.broken)
	a.leave(nil)
}

// of returns a writer to w that notices when nobody reads.
func (a *audience) of(w io.Writer) io.Writer { return watched{w, a} }

type watched struct {
	io.Writer
	audience *audience
}

func (w watched) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		w.audience.leave(errUnread)
	}
	return n, err
}
