package kozotest

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"kozo"
)

func checks() []check {
	return []check{
		{"endpoints", checkEndpoints},
		{"dialling", checkDialling},
		{"cancelled dial", checkCancelledDial},
		{"silence", checkSilence},
		{"nobody", checkNobody},
		{"listening", checkListening},
		{"accepting", checkAccepting},
		{"reopening", checkReopening},
		{"closing", checkClosing},
		{"half-close", checkHalfClose},
		{"deadlines", checkDeadlines},
		{"many", checkMany},
		{"bulk", checkBulk},
		{"slow reader", checkSlowReader},
	}
}

// Every node computes the endpoints of the transports of all nodes, without
// opening anything, and must come to the same result.
func checkEndpoints(t *trial) {
	want := t.far.Endpoints()
	same := func(got []string, when string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("Endpoints returns %q %s, and %q before; they must depend on the options alone", got, when, want)
		}
	}
	for _, e := range want {
		if strings.TrimSpace(e) == "" {
			t.Errorf("an endpoint is empty: %q", want)
		}
	}
	want = slices.Clone(want)
	clear(t.far.Endpoints())
	same(t.far.Endpoints(), "when the caller has changed what it got earlier")
	same(t.make("listener", t.o.Options).Endpoints(), "from another transport with the same options")
	_ = t.listen().Close()
	same(t.far.Endpoints(), "after it has listened")
	if p := kozo.PriorityOf(t.near); p < kozo.Worst || p > kozo.Best {
		t.Errorf("the priority is %d, and not one from kozo.Worst to kozo.Best", p)
	}
	if !canConnect(t.near, t.nearEnv.Peers[0]) {
		t.Error("CanConnect says that one side cannot dial the other")
	}
}

// A node ends the context as soon as Dial has returned.
func checkDialling(t *trial) {
	l := t.listen()
	for _, endpoint := range t.far.Endpoints() {
		near, far := t.pair(l, endpoint)
		time.Sleep(t.o.Pause)
		t.talk(near, far)
	}
}

// talk says a word in each direction.
func (t *trial) talk(a, b net.Conn) {
	t.Helper()
	var errs [2]error
	t.within("a word each way", func() {
		var both sync.WaitGroup
		both.Go(func() { errs[0] = meet(a, 2, 2) })
		both.Go(func() { errs[1] = echo(b) })
		both.Wait()
	})
	for _, err := range errs {
		if err != nil {
			t.Fatalf("a connection that should work: %v", err)
		}
	}
}

// A connection that nobody has taken over must not stay: the other side would
// serve it for ever.
func checkCancelledDial(t *trial) {
	t.distant() // there must be a middle in which to cancel
	l := t.listen()
	var accepted sync.WaitGroup
	accepted.Go(func() {
		for {
			c, err := t.accept(l)
			if err != nil {
				return
			}
			accepted.Go(func() { drain(c) })
		}
	})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	t.within("Dial with a context that has ended before", func() {
		if _, err := t.dialWith(ended, t.first()); err == nil {
			t.Error("Dial connects though its context has ended before")
		}
	})
	took := t.timeOf(func() {
		if c, err := t.dial(t.first()); err != nil {
			t.Errorf("Dial: %v", err)
		} else {
			_ = c.Close()
		}
	})
	const times = 20
	for i := range times {
		ctx, cancel := context.WithCancel(context.Background())
		timer := time.AfterFunc(took*time.Duration(i)/(times/2), cancel)
		t.within("Dial with a context that ends", func() {
			if c, err := t.dialWith(ctx, t.first()); err == nil {
				_ = c.Close()
			}
		})
		timer.Stop()
		cancel()
	}
	// The listener is closed so that no more connections come, and not to end
	// those that are there.
	_ = l.Close()
	t.within("the end of all connections whose Dial was cancelled (they must be closed)", accepted.Wait)
}

func (t *trial) timeOf(step func()) time.Duration {
	t.Helper()
	start := time.Now()
	t.within("Dial", step)
	return time.Since(start)
}

func checkSilence(t *trial) {
	if t.silent == nil {
		t.Skip("TransportTest.Silent does not give an endpoint where nobody answers")
	}
	endpoint := t.silent()
	const wait = 50 * time.Millisecond
	for what, end := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), wait)
		},
		"cancellation": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(wait, cancel)
			return ctx, cancel
		},
	} {
		t.within("Dial where nobody answers, after the "+what+" of its context", func() {
			ctx, cancel := end()
			defer cancel()
			if _, err := t.dialWith(ctx, endpoint); err == nil {
				t.Errorf("Dial connects to %s, where nobody should answer", endpoint)
			}
		})
	}
}

func checkNobody(t *trial) {
	for _, endpoint := range t.far.Endpoints() {
		t.within("Dial where nobody listens", func() {
			if _, err := t.dial(endpoint); err == nil {
				t.Errorf("Dial connects to %s, where nobody listens", endpoint)
			}
		})
	}
	// An endpoint may come from another version of the transport.
	for _, endpoint := range []string{"", " ", "\x00", "nonsense", ":::", "[", strings.Repeat("x", 10_000)} {
		t.within("Dial with nonsense", func() {
			if _, err := t.dial(endpoint); err == nil {
				t.Errorf("Dial connects to %.20q", endpoint)
			}
		})
	}
}

func checkListening(t *trial) {
	var l net.Listener
	var err error
	ctx, cancel := context.WithCancel(context.Background())
	t.within("Listen", func() { l, err = t.far.Listen(ctx, t.farEnv) })
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	t.keep(l)
	near, far := t.pair(l, t.first())
	cancel()
	time.Sleep(t.o.Pause)
	t.talk(near, far)
	t.pair(l, t.first()) // the end of the context must not have ended the listener
	_ = l.Close()
	t.within("Listen with a context that has ended before", func() {
		if l, err := t.far.Listen(ctx, t.farEnv); err == nil {
			_ = l.Close() // it was faster than the context
		}
	})
}

func checkAccepting(t *trial) {
	l := t.listen()
	near, far := t.pair(l, t.first())
	var waiting sync.WaitGroup
	for range 4 {
		waiting.Go(func() {
			for {
				if _, err := t.accept(l); err != nil {
					return
				}
			}
		})
	}
	t.within("dialling while several goroutines accept", func() {
		for range 4 {
			if t.o.Conns == 1 {
				t.hangUp()
			}
			if _, err := t.dial(t.first()); err != nil {
				t.Errorf("Dial: %v", err)
			}
		}
	})
	t.within("closing the listener", func() { _ = l.Close() })
	t.within("the end of every Accept after the listener was closed", waiting.Wait)
	t.within("Accept after the listener was closed", func() {
		if _, err := t.accept(l); err == nil {
			t.Error("a closed listener has accepted a connection")
		}
	})
	t.within("closing the listener again", func() { _ = l.Close() })
	if t.o.Conns > 1 {
		t.talk(near, far) // connections outlive their listener
	}
}

// A node opens a listener again, with the same transport, when it has failed.
func checkReopening(t *trial) {
	for range 3 {
		l := t.listen()
		near, far := t.pair(l, t.first())
		t.within("closing the listener", func() { _ = l.Close() })
		t.talk(near, far)
		_, _ = near.Close(), far.Close()
	}
	t.connect()
}
