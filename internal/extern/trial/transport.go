package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"kozo"
	"kozo/internal/extern/talk"
)

// Limits of a trial of streams.
const (
	streamTime = 15 * time.Second // for each step
	bulkBytes  = 1 << 20          // each way
	manyAtOnce = 20
)

// side is one of the two nodes that are played.
type side struct {
	kozo.Transport
	node  *node
	env   *kozo.TransportEnv
	ended chan error
	stop  context.CancelFunc
}

// transport runs the program on two nodes, and connects one to the other.
func (t *trial) transport(ctx context.Context) {
	typ, err := t.set.TransportFile(t.Path)
	if err != nil {
		t.say(Wrong, "%v", err)
		return
	}
	if _, given := t.Values["address"]; !given && slices.ContainsFunc(typ.Options, func(o kozo.Option) bool { return o.Name == "address" }) {
		t.say(Note, `it is tried with the address 127.0.0.1 (--set address=VALUE tries another)`)
		t.Values = maps.Clone(t.Values)
		if t.Values == nil {
			t.Values = map[string]string{}
		}
		t.Values["address"] = "127.0.0.1"
	}
	values, ok := t.values(typ.Options, typ.FreeForm != "")
	if !ok {
		return
	}
	var sides [2]*side
	for i, name := range []kozo.NodeName{"dialler", "listener"} {
		if sides[i] = t.side(ctx, typ, values, name); sides[i] == nil {
			return
		}
		defer sides[i].stop()
	}
	near, far := sides[0], sides[1]
	near.env.Peers = []kozo.Remote{{Node: "listener", Name: "trial", Type: typ.Name, Values: values, Transport: far}}
	far.env.Peers = []kozo.Remote{{Node: "dialler", Name: "trial", Type: typ.Name, Values: values, Transport: near}}
	if endpoints := far.Endpoints(); len(endpoints) == 0 {
		t.say(Note, "with these options nobody can dial it, so no stream was tried (--set NAME=VALUE gives it an address)")
	} else {
		t.say(OK, "others reach it at %s", strings.Join(endpoints, ", "))
		t.streams(ctx, near, far)
	}
	for _, s := range []*side{near, far} {
		begin := time.Now()
		s.stop()
		<-s.ended
		t.stopped(time.Since(begin))
		t.complaints(s.node)
	}
}

// side builds a transport for one node, and runs its program.
func (t *trial) side(ctx context.Context, typ kozo.TransportType, values kozo.Values, name kozo.NodeName) *side {
	tr, err := typ.New(values)
	if err == nil {
		err = tr.(kozo.Placer).Place(name, "trial")
	}
	if err != nil {
		t.say(Wrong, "with these options: %v", err)
		return nil
	}
	for _, w := range tr.(kozo.Warner).Warnings() {
		t.say(Note, "it warns: %v", w)
	}
	s := &side{Transport: tr, node: newNode(), ended: make(chan error, 1)}
	s.env = &kozo.TransportEnv{Node: name, Log: slog.New(handler{s.node})}
	ctx, s.stop = context.WithCancel(ctx)
	go func() { s.ended <- tr.(kozo.Runner).Run(ctx, s.env) }()
	return s
}

// streams listens on one side and dials from the other.
func (t *trial) streams(ctx context.Context, near, far *side) {
	ctx, cancel := context.WithTimeout(ctx, talk.HelloTimeout+streamTime)
	defer cancel()
	l, err := far.Listen(ctx, far.env)
	if err != nil {
		t.say(Wrong, "it does not listen: %v", err)
		return
	}
	defer func() { _ = l.Close() }()
	t.say(OK, "listens at %s", l.Addr())
	connects := false
	for _, endpoint := range far.Endpoints() {
		a, b, err := t.pair(ctx, near, far, l, endpoint)
		if err != nil {
			t.say(Wrong, "connecting to %s: %v", endpoint, err)
			continue
		}
		connects = true
		t.say(OK, "connects to %s", endpoint)
		t.judge("carries a megabyte each way at once", bulk(a, b))
		_, _ = a.Close(), b.Close()
	}
	if !connects {
		return
	}
	first := far.Endpoints()[0]
	for i, what := range []string{"the side that dialled", "the side that accepted"} {
		a, b, err := t.pair(ctx, near, far, l, first)
		if err != nil {
			continue // it was said
		}
		if i == 1 {
			a, b = b, a
		}
		t.judge("when "+what+" ends what it sends, the other one hears of it and can go on", halfClose(a, b))
		_, _ = a.Close(), b.Close()
	}
	t.judge(fmt.Sprintf("has %d connections at once", manyAtOnce), t.many(ctx, near, far, l, first))
}

func (t *trial) judge(what string, err error) {
	if err != nil {
		t.say(Wrong, "%s: no: %v", what, err)
		return
	}
	t.say(OK, "%s", what)
}

// pair dials, accepts, and proves each side if the transport does that.
func (t *trial) pair(ctx context.Context, near, far *side, l net.Listener, endpoint string) (a, b net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	accepted := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			c, err = proven(ctx, far, c, nil)
		}
		accepted <- result{c, err}
	}()
	a, err = near.Transport.(kozo.Seeker).Seek(ctx, near.env, near.env.Peers[0], endpoint)
	if err == nil {
		a, err = proven(ctx, near, a, &near.env.Peers[0])
	}
	if err != nil {
		return nil, nil, err
	}
	select {
	case r := <-accepted:
		b, err = r.conn, r.err
	case <-ctx.Done():
		err = errors.New("the other side has not accepted a connection")
	}
	if err != nil {
		_ = a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// proven checks whom a transport with a security of its own names.
func proven(ctx context.Context, s *side, c net.Conn, remote *kozo.Remote) (net.Conn, error) {
	sec, ok := s.Transport.(kozo.Secured)
	if !ok {
		return c, nil
	}
	conn, name, err := sec.Secure(ctx, s.env, c, remote)
	if want := s.env.Peers[0].Node; err == nil && name != want {
		err = fmt.Errorf("it says that %q is at the other end, which is %q", name, want)
	}
	if err != nil {
		_ = c.Close()
	}
	return conn, err
}

// bulk sends bytes both ways at once and compares them.
func bulk(a, b net.Conn) error {
	data := make([]byte, bulkBytes)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	errs := make([]error, 4)
	var all sync.WaitGroup
	for i, way := range [][2]net.Conn{{a, b}, {b, a}} {
		_ = way[0].SetDeadline(time.Now().Add(streamTime))
		all.Go(func() { _, errs[2*i] = way[0].Write(data) })
		all.Go(func() {
			got := make([]byte, len(data))
			n, err := io.ReadFull(way[1], got)
			switch {
			case err != nil:
				err = fmt.Errorf("after %d bytes: %w", n, err)
			case !bytes.Equal(got, data):
				err = errors.New("other bytes arrive than were sent")
			}
			errs[2*i+1] = err
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// halfClose ends one direction and uses the other one.
func halfClose(a, b net.Conn) error {
	for _, c := range []net.Conn{a, b} {
		_ = c.SetDeadline(time.Now().Add(streamTime))
	}
	h, ok := a.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	if _, err := a.Write([]byte("the end")); err != nil {
		return err
	}
	if err := h.CloseWrite(); err != nil {
		return err
	}
	if got, err := io.ReadAll(b); err != nil || string(got) != "the end" {
		return fmt.Errorf("the other side has read %q, %v", got, err)
	}
	if _, err := b.Write([]byte("and more")); err != nil {
		return fmt.Errorf("the other side cannot write any more: %v", err)
	}
	_ = b.Close()
	if got, err := io.ReadAll(a); string(got) != "and more" {
		return fmt.Errorf("what the other side wrote then has not arrived: %q, %v", got, err)
	}
	return nil
}

// many opens connections at once and says a word on each.
func (t *trial) many(ctx context.Context, near, far *side, l net.Listener, endpoint string) error {
	errs := make([]error, 2*manyAtOnce)
	var all sync.WaitGroup
	for i := range manyAtOnce {
		all.Go(func() {
			c, err := l.Accept()
			if err == nil {
				defer func() { _ = c.Close() }()
				if c, err = proven(ctx, far, c, nil); err == nil {
					_ = c.SetDeadline(time.Now().Add(streamTime))
					_, err = io.CopyN(c, c, 1)
				}
			}
			errs[i] = err
		})
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, streamTime)
			defer cancel()
			c, err := near.Transport.(kozo.Seeker).Seek(ctx, near.env, near.env.Peers[0], endpoint)
			if err == nil {
				defer func() { _ = c.Close() }()
				if c, err = proven(ctx, near, c, &near.env.Peers[0]); err == nil {
					_ = c.SetDeadline(time.Now().Add(streamTime))
					if _, err = c.Write([]byte{1}); err == nil {
						_, err = io.ReadFull(c, make([]byte, 1))
					}
				}
			}
			if errs[manyAtOnce+i] = err; err != nil {
				_ = l.Close() // so that nobody waits for it
			}
		})
	}
	all.Wait()
	for _, err := range slices.Backward(errs) {
		if err != nil {
			return err
		}
	}
	return nil
}
