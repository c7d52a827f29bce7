package socks

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"kozo"
)

// pathTime is how long a path to an onion service may take to build. Most are
// there within seconds; one that has met a service at the wrong moment, as when
// Tor was restarted there, never leads anywhere.
const pathTime = 30 * time.Second

// ErrNoPath is the error when the time is up.
var ErrNoPath = errors.New("tor found no way to the service in time")

// Tor reaches onion services through the proxy of a Tor. The zero value is not
// one; it must not be copied.
type Tor struct {
	Proxy Proxy
	tries atomic.Uint64 // that failed
}

// Dial connects to a service, on a path that no other service shares. Tor goes
// on waiting for a path that leads nowhere, and gives it again to whoever asks in
// the same way: so each try after one that failed asks in another way. The error
// is [ErrNoPath] when the time is up.
func (t *Tor) Dial(ctx context.Context, env *kozo.TransportEnv, target string) (net.Conn, error) {
	for {
		path := target + " " + strconv.FormatUint(t.tries.Load(), 10)
		once, cancel := context.WithTimeout(ctx, pathTime)
		conn, err := t.Proxy.Dial(once, env, path, target)
		cancel()
		if err == nil {
			return Paced(conn), nil
		}
		t.tries.Add(1)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return nil, ErrNoPath
		case ctx.Err() != nil, !errors.Is(err, context.DeadlineExceeded):
			return nil, err
		}
	}
}
