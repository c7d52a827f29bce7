package onion

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"kozo"
	"kozo/transports/onion/internal/control"
)

// Listen accepts what Tor brings to the local port. With controlPort it also
// makes the onion service, which is there as long as the listener is.
func (t *transport) Listen(ctx context.Context, env *kozo.TransportEnv) (net.Listener, error) {
	l, err := env.Listen(ctx, "tcp", t.bind(), t.Backlog)
	if err != nil {
		return nil, fmt.Errorf("cannot accept what tor brings, choose another port or end the program that uses it: %w", err)
	}
	if t.ControlPort == "" {
		return l, nil
	}
	c, err := t.publish(ctx, env, l.Addr().String())
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	s := &service{Listener: l, control: c, address: address(t.Endpoints()[0])}
	s.watching.Go(s.watch)
	return s, nil
}

// publish makes the onion service, and returns the connection to Tor on whose
// life that of the service hangs.
func (t *transport) publish(ctx context.Context, env *kozo.TransportEnv, target string) (*control.Conn, error) {
	k, err := t.load(env)
	if err != nil {
		return nil, err
	}
	if own := k.address(); own != t.Address {
		return nil, fmt.Errorf("the key of this node is that of %s, and the file says %s; put the first into the file, on every node, or restore the key of the second", own, t.Address)
	}
	c, err := t.connect(ctx, env)
	if err != nil {
		return nil, err
	}
	err = await(ctx, c)
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(controlTime))
		err = c.HangUp(name(t.Address)) // those who came before may be others than those who may come now
	}
	if err == nil {
		_, err = c.AddService(control.Service{Key: k.service(), Port: int(t.OnionPort), Target: target, Clients: t.clients(env)})
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	_ = c.SetDeadline(time.Time{})
	return c, nil
}

// clients returns the keys of the nodes that can find the service, or nil if
// everybody can who knows its name.
func (t *transport) clients(env *kozo.TransportEnv) []string {
	if !t.ClientAuth {
		return nil
	}
	list := []string{}
	for _, p := range env.Peers {
		if peer, ok := p.Transport.(*transport); ok && peer.ClientKey != "" && !slices.Contains(list, strings.ToUpper(peer.ClientKey)) {
			list = append(list, strings.ToUpper(peer.ClientKey))
		}
	}
	if len(list) == 0 { // Tor would let everybody in
		k := &keys{}
		if err := k.make(); err == nil {
			public, _ := k.client()
			list = append(list, public)
		}
	}
	return list
}

// service is a listener with an onion service.
type service struct {
	net.Listener
	control  *control.Conn
	address  address
	watching sync.WaitGroup

	mu     sync.Mutex
	closed bool
	lost   bool
}

// watch ends the listener when Tor ends, and the service with it.
func (s *service) watch() {
	_ = s.control.Wait()
	s.mu.Lock()
	s.lost = !s.closed
	s.mu.Unlock()
	_ = s.Listener.Close()
}

var errLost = errors.New("tor has ended, and the onion service with it; it comes back when tor does")

// Accept waits for the next connection. The error says so if Tor has ended.
func (s *service) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lost {
			return nil, errLost
		}
	}
	return c, err
}

// Close ends the listener and the onion service.
func (s *service) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.Listener.Close()
	_ = s.control.Close()
	s.watching.Wait()
	return err
}

// Addr is where others dial.
func (s *service) Addr() net.Addr { return s.address }

type address string

func (address) Network() string  { return "onion" }
func (a address) String() string { return string(a) }
