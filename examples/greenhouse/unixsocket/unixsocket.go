// Package unixsocket is the transport of docs/writing-transports.md: it connects
// nodes on one machine through Unix sockets.
package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"kozo"
)

type options struct {
	Path kozo.Path `option:"path" default:"" doc:"Socket at which other nodes on the machine reach this one. A node without one only dials others."`
}

// Type returns the type of the transport, for a registry.
func Type() kozo.TransportType {
	return kozo.DefineTransport("unix", "Unix sockets, for nodes on one machine.", build)
}

func build(o options) (kozo.Transport, error) {
	// The system keeps the path of a socket in 108 bytes, and some in 104.
	if len(o.Path) > 103 {
		return nil, kozo.Errorf("path", "the path of a socket has at most 103 bytes, and this one has %d", len(o.Path))
	}
	return &transport{o}, nil
}

// transport is one transport block of one node.
type transport struct{ options }

var (
	_ kozo.Transport   = (*transport)(nil)
	_ kozo.Prioritized = (*transport)(nil)
	_ kozo.Binder      = (*transport)(nil)
)

// Endpoints says where others reach this transport: here, the path.
func (t *transport) Endpoints() []string {
	if t.Path == "" {
		return nil
	}
	return []string{string(t.Path)}
}

// Dial connects to the endpoint of another node.
func (t *transport) Dial(ctx context.Context, env *kozo.TransportEnv, endpoint string) (net.Conn, error) {
	return env.Dial(ctx, "unix", endpoint)
}

// Listen begins to accept connections at the path.
func (t *transport) Listen(ctx context.Context, env *kozo.TransportEnv) (net.Listener, error) {
	path := string(t.Path)
	l, err := env.Listen(ctx, "unix", path, 0)
	if errors.Is(err, syscall.EADDRINUSE) && deserted(ctx, env, path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = env.Listen(ctx, "unix", path, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot accept connections at %s: %w", path, err)
	}
	return l, nil
}

// deserted says whether a socket was left behind by a node that was killed.
func deserted(ctx context.Context, env *kozo.TransportEnv, path string) bool {
	c, err := env.Dial(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Priority says that nothing is faster.
func (t *transport) Priority() kozo.Priority { return kozo.Best }

// Binds lets kozo check find two blocks of one node with the same path.
func (t *transport) Binds() []string {
	if t.Path == "" {
		return nil
	}
	return []string{"unix " + string(t.Path)}
}
