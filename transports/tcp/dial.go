package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"kozo"
	"kozo/transports/internal/onionname"
)

const (
	stagger    = 250 * time.Millisecond // longest head start of an address over the next
	maxTries   = 8                      // addresses of one name
	resolvePer = 3                      // the part of the time that a lookup may take: 1/3 is left for dialling
)

// Dial looks the host of the endpoint up and tries all its addresses, each a
// little after the one before it, so that one that swallows packets does not
// take the time of the others. The first connection wins.
func (t *transport) Dial(ctx context.Context, env *kozo.TransportEnv, endpoint string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, fmt.Errorf("%q is no endpoint of a tcp transport", endpoint)
	}
	if onionname.Is(host) {
		if err := onionname.Check(host); err != nil {
			return nil, fmt.Errorf("%s cannot be reached: %w", host, err)
		}
		if t.SocksProxy != "" {
			return t.tor.Dial(ctx, env, endpoint)
		}
	}
	addrs, err := lookup(ctx, env, host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	conn, err := race(ctx, env, addrs[:min(len(addrs), maxTries)], port)
	if err != nil {
		// Who asked for this endpoint names it; only what it stands for is news.
		return nil, errors.New(strings.TrimPrefix(err.Error(), endpoint+": "))
	}
	return conn, nil
}

func lookup(ctx context.Context, env *kozo.TransportEnv, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)*(resolvePer-1)/resolvePer)
		defer cancel()
	}
	return env.Resolve(ctx, host)
}

type attempt struct {
	address string
	conn    net.Conn
	err     error
}

// race dials all addresses, and returns when the first answers and all others
// have been given up.
func race(ctx context.Context, env *kozo.TransportEnv, addrs []netip.Addr, port string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lead := stagger
	if end, ok := ctx.Deadline(); ok {
		lead = min(lead, time.Until(end)/time.Duration(len(addrs)+1))
	}
	attempts := make(chan attempt)
	var dialling sync.WaitGroup
	failed := make([]chan struct{}, len(addrs)) // closed when the attempt failed
	for i, a := range addrs {
		address := net.JoinHostPort(a.String(), port)
		failed[i] = make(chan struct{})
		dialling.Go(func() {
			if i > 0 {
				headStart(ctx, time.Duration(i)*lead, failed[:i])
			}
			conn, err := env.Dial(ctx, "tcp", address)
			if err != nil {
				close(failed[i])
			}
			attempts <- attempt{address, conn, err}
		})
	}
	go func() {
		dialling.Wait()
		close(attempts)
	}()
	var won net.Conn
	var errs []string
	for a := range attempts {
		switch {
		case a.err != nil:
			errs = append(errs, a.address+": "+why(a.err))
		case won != nil:
			a.conn.Close()
		default:
			won = a.conn
			cancel() // the others
		}
	}
	if won != nil {
		return won, nil
	}
	if len(errs) == 1 {
		return nil, errors.New(errs[0])
	}
	return nil, fmt.Errorf("none of %d addresses answers: %s", len(errs), strings.Join(errs, "; "))
}

// headStart waits until it is the turn of an address: all before it have failed,
// or have had their time.
func headStart(ctx context.Context, most time.Duration, before []chan struct{}) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for _, f := range before {
		select {
		case <-f:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// why strips an error of package net of what the caller says already.
func why(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return "no answer in time"
	}
	if errors.Is(err, context.Canceled) {
		return "given up"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	text := err.Error()
	for _, call := range []string{"connect: ", "dial: "} {
		text = strings.TrimPrefix(text, call)
	}
	return text
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}
