// Package hostnet is the network of the machine, in the form in which transports
// are given it: names are resolved, connections notice when the other side is
// gone, listeners have a backlog.
package hostnet

import (
	"context"
	"log/slog"
	"net"
	"time"

	"kozo"
	"kozo/internal/resolve"
)

// keepAlive makes the system ask the other side for a sign of life. Heartbeats
// notice its death sooner; this is for connections that have none yet.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4}
}

// userTimeout is how long sent bytes may stay unconfirmed, where the system can
// be told.
const userTimeout = 120 * time.Second

// Env returns what transports of a node are given to work with on this machine.
// The log should name the transport.
func Env(node kozo.NodeName, r *resolve.Resolver, log *slog.Logger) *kozo.TransportEnv {
	return &kozo.TransportEnv{
		Node:    node,
		Resolve: r.Lookup,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			d := net.Dialer{KeepAliveConfig: keepAlive(), Control: configure}
			return d.DialContext(ctx, network, address)
		},
		Listen: listen,
		Log:    log,
	}
}

func listen(ctx context.Context, network, address string, backlog int) (net.Listener, error) {
	c := net.ListenConfig{KeepAliveConfig: keepAlive(), Control: configure}
	c.SetMultipathTCP(false) // what is accepted would not have the limits of its listener
	l, err := c.Listen(ctx, network, address)
	if err != nil {
		return nil, taken(err)
	}
	if backlog <= 0 {
		return l, nil
	}
	if err := setBacklog(l, backlog); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
