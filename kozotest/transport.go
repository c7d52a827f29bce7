package kozotest

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/hostnet"
	"kozo/internal/memnet"
	"kozo/internal/resolve"
)

// TransportTest says how to try a transport. Type and Options must be given; the
// rest has defaults for a fast transport.
type TransportTest struct {
	Type kozo.TransportType

	// Options are those of the transport that listens. It must have an
	// endpoint that the other side can dial, and better several.
	Options kozo.Values

	// Dialer are the options of the transport that dials; nil: the same.
	Dialer kozo.Values

	// InMemory gives the two sides a network in memory, in a bubble of
	// [testing/synctest], instead of that of this machine. The side that
	// listens is the host "listener" with the addresses 10.0.0.1 and fd00::1,
	// the other one is "dialler". Only for a transport that does everything
	// through its TransportEnv.
	InMemory bool

	// ListenEnv and DialEnv are what the two sides are given to work with; nil:
	// what a node gives them on this machine.
	ListenEnv, DialEnv *kozo.TransportEnv

	// Silent returns an endpoint which takes up to the end of the context to
	// dial, since nobody answers there. In memory there is one anyway.
	Silent func(t testing.TB) string

	Conns    int           // connections that are open at once, if there can be more than 1; default: 100
	Bytes    int           // sent each way in bulk; default: 4 MiB
	Buffer   int           // most bytes that may be under way with nobody reading; default: 64 MiB
	Pause    time.Duration // for which nothing moves when a connection is full; default: 250 ms
	Patience time.Duration // for each step, dialling for instance; default: 10 s

	// Skip names checks that make no sense for this transport, each with the
	// reason, which the test says.
	Skip map[string]string
}

// TestTransport checks that a transport keeps the promises of
// [kozo.Transport], and that its connections are as Kōzō needs them. Each check
// is a subtest with its own listener. Goroutines that a check leaves behind are
// found, so do not run other tests of the same transport at the same time.
//
// A transport that is slow, or has little room, is tried with smaller numbers;
// one for which a check makes no sense names it in Skip:
//
//	endpoints      they depend on the options alone, and can be dialled
//	dialling       each endpoint yields a connection, which outlives the context
//	cancelled dial it ends, and leaves no connection behind
//	silence        dialling where nobody answers ends with its context
//	nobody         dialling where nobody listens, or nonsense, is an error
//	listening      its context bounds the call and not the listener
//	accepting      several at once; all end when the listener is closed
//	reopening      a closed listener can be opened again, and again
//	closing        either side can, in the middle of everything
//	half-close     where connections have CloseWrite, only one direction ends
//	deadlines      of reading and writing: kept, extended, in the past, taken back
//	many           100 connections at once
//	bulk           megabytes both ways at once, byte for byte
//	slow reader    holds the writer up, and loses nothing
//
// After each one no goroutine is left.
func TestTransport(t *testing.T, o TransportTest) {
	t.Helper()
	o.setDefaults()
	all := checks()
	for name, reason := range o.Skip {
		if !slices.ContainsFunc(all, func(c check) bool { return c.name == name }) {
			t.Errorf("Skip names %q, and there is no such check", name)
		}
		if strings.TrimSpace(reason) == "" {
			t.Errorf("Skip does not say why %q makes no sense for this transport", name)
		}
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			if reason, skip := o.Skip[c.name]; skip {
				t.Skip(reason)
			}
			if o.InMemory {
				synctest.Test(t, func(t *testing.T) { o.try(t, c) })
				return
			}
			o.try(t, c)
		})
	}
}

func (o *TransportTest) setDefaults() {
	if o.Dialer == nil {
		o.Dialer = o.Options
	}
	setDefault(&o.Conns, 100)
	setDefault(&o.Bytes, 4<<20)
	setDefault(&o.Buffer, 64<<20)
	setDefault(&o.Pause, 250*time.Millisecond)
	setDefault(&o.Patience, 10*time.Second)
}

func setDefault[N ~int | ~int64](n *N, value N) {
	if *n == 0 {
		*n = value
	}
}

// check is one promise of a transport.
type check struct {
	name string
	run  func(*trial)
}

// try makes both sides anew and runs one check.
func (o *TransportTest) try(t testing.TB, c check) {
	t.Helper()
	hunt := newHunt(t)
	hunt.watch(func() {
		tr := &trial{TB: t, o: *o}
		tr.open()
		defer tr.close()
		c.run(tr)
	})
	hunt.end(o.Patience)
}

// trial is one check of a transport while it runs.
type trial struct {
	testing.TB
	o         TransportTest
	near, far kozo.Transport // near dials, far listens
	nearEnv   *kozo.TransportEnv
	farEnv    *kozo.TransportEnv
	silent    func() string // nil: there is no endpoint that is silent
	distant   func()        // makes the way between the two take its time, if it does not

	stop    context.CancelFunc // of what runs for the transports
	running sync.WaitGroup

	mu      sync.Mutex
	closers []io.Closer // everything that the check has opened
	over    bool        // the check has ended
}

func (t *trial) open() {
	t.Helper()
	t.near, t.far = t.make("dialler", t.o.Dialer), t.make("listener", t.o.Options)
	if len(t.far.Endpoints()) == 0 {
		t.Fatal("the transport that listens has no endpoints; give it options with which others can reach it")
	}
	if t.o.InMemory {
		n := memnet.New()
		far, near := n.Host("listener", "10.0.0.1", "fd00::1"), n.Host("dialler", "10.0.0.2", "fd00::2")
		t.nearEnv, t.farEnv = near.Env(), far.Env()
		t.distant = func() {
			n.Shape(near, far, memnet.Conditions{Latency: 5 * time.Millisecond})
			n.Shape(far, near, memnet.Conditions{Latency: 5 * time.Millisecond})
		}
		t.silent = func() string {
			n.Partition(near, far)
			return t.far.Endpoints()[0]
		}
	} else {
		t.distant = func() {}
		t.nearEnv, t.farEnv = t.o.DialEnv, t.o.ListenEnv
		if t.o.Silent != nil {
			t.silent = func() string { return t.o.Silent(t) }
		}
	}
	t.nearEnv = t.env("dialler", t.nearEnv, t.remote("listener", t.o.Options))
	t.farEnv = t.env("listener", t.farEnv, t.remote("dialler", t.o.Dialer))
	ctx, cancel := context.WithCancel(context.Background())
	t.stop = cancel
	t.run(ctx, t.near, t.nearEnv)
	t.run(ctx, t.far, t.farEnv)
}

// remote is how one side sees the other one.
func (t *trial) remote(node kozo.NodeName, values kozo.Values) kozo.Remote {
	return kozo.Remote{Node: node, Name: t.o.Type.Name, Type: t.o.Type.Name, Values: values, Transport: t.make(node, values)}
}

// env completes what one side is given.
func (t *trial) env(self kozo.NodeName, env *kozo.TransportEnv, peer kozo.Remote) *kozo.TransportEnv {
	if env == nil {
		env = hostnet.Env(self, resolve.New(), slog.New(slog.DiscardHandler))
	}
	own := *env
	own.Node, own.Peers = self, []kozo.Remote{peer}
	return &own
}

func (t *trial) make(node kozo.NodeName, values kozo.Values) kozo.Transport {
	t.Helper()
	tr, err := t.o.Type.New(maps.Clone(values))
	if p, ok := tr.(kozo.Placer); ok && err == nil {
		err = p.Place(node, t.o.Type.Name)
	}
	if err != nil {
		t.Fatalf("making a transport of type %s: %v", t.o.Type.Name, err)
	}
	return tr
}

// FreePort returns a TCP port of this machine that is free now.
func FreePort(t testing.TB) kozo.Port {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return kozo.Port(l.Addr().(*net.TCPAddr).Port)
}
