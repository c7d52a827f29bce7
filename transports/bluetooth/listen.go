package bluetooth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"kozo"
	"kozo/internal/bluez"
)

// Listen offers the service on the adapters, and makes them visible. The listener
// ends with bluetoothd, or when none of its adapters is left.
func (t *transport) Listen(ctx context.Context, env *kozo.TransportEnv) (net.Listener, error) {
	bus, err := bluez.Open(ctx)
	if err != nil {
		return nil, err
	}
	l := &listener{
		bus: bus, uuid: t.UUID, which: t.Adapter, log: env.Log,
		conns:  make(chan *bluez.Stream, cmp.Or(t.Backlog, defaultBacklog)),
		closed: make(chan struct{}),
		shown:  map[bluez.Path]bluez.Adapter{},
	}
	if err := l.open(ctx); err != nil {
		bus.Close()
		return nil, err
	}
	life, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.watching.Go(func() { l.watch(life) })
	return l, nil
}

type listener struct {
	bus   *bluez.Bus
	uuid  string
	which string // the adapter, or empty
	log   *slog.Logger

	conns    chan *bluez.Stream
	cancel   context.CancelFunc
	watching sync.WaitGroup
	names    []string // of the adapters at the beginning

	mu     sync.Mutex
	done   bool
	err    error
	closed chan struct{}
	shown  map[bluez.Path]bluez.Adapter // adapters that were not visible before
}

func (l *listener) open(ctx context.Context) error {
	adapters, err := l.bus.Choose(l.which)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range adapters {
		if err := l.show(ctx, a); err != nil {
			errs = append(errs, err)
			continue
		}
		l.names = append(l.names, a.Name)
	}
	if len(l.names) == 0 {
		return errors.Join(errs...)
	}
	return l.bus.Serve(ctx, l.uuid, "kozo", l.take)
}

// show gives an adapter power and makes it visible. One that is not visible takes
// connections only from devices that it trusts.
func (l *listener) show(ctx context.Context, a bluez.Adapter) error {
	if err := l.bus.PowerOn(ctx, a); err != nil {
		return err
	}
	if now, ok := l.bus.Adapter(a.Path); ok && now.Discoverable && now.Timeout == 0 {
		return nil
	}
	if err := l.bus.SetDiscoverable(ctx, a, true); err != nil {
		return err
	}
	if !a.Discoverable {
		l.shown[a.Path] = a
	}
	return nil
}

// take is called for each connection that comes in.
func (l *listener) take(s *bluez.Stream) {
	if l.which != "" {
		local := s.LocalAddr().String()
		if as, err := l.bus.Choose(l.which); err != nil || as[0].Address != local {
			s.Close()
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		select {
		case l.conns <- s:
			return
		default: // as many wait as may
		}
	}
	s.Close()
}

// rest is how long to leave adapters alone after something was changed: others
// may want something else.
const rest = time.Second

// watch keeps the adapters visible, those that are plugged in later too, until
// there is none any more.
func (l *listener) watch(ctx context.Context) {
	failed := map[bluez.Path]bool{}
	for {
		var lost error
		var hidden []bluez.Adapter
		err := l.bus.Await(ctx, func() bool {
			adapters, err := l.bus.Choose(l.which)
			lost, hidden = err, nil
			var off []string
			for _, a := range adapters {
				switch {
				case !a.Powered && slices.Contains(l.names, a.Name):
					off = append(off, a.Name)
				case failed[a.Path]:
				case !a.Powered || !a.Discoverable || a.Timeout != 0:
					hidden = append(hidden, a)
				}
			}
			if len(adapters) > 0 && len(off) == len(adapters) {
				lost = fmt.Errorf("the Bluetooth adapter %s was switched off", strings.Join(off, ", "))
			}
			return lost != nil || len(hidden) > 0
		})
		if err == nil {
			err = lost
		}
		if err != nil {
			l.end(err)
			return
		}
		for _, a := range hidden {
			if err := l.show(ctx, a); err != nil && ctx.Err() == nil && l.bus.Err() == nil {
				failed[a.Path] = true
				l.log.Warn("adapter cannot be used", "endpoint", a.Name, "err", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
}

// end says why nobody is accepted any more, once.
func (l *listener) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return
	}
	l.done, l.err = true, err
	close(l.closed)
	for {
		select {
		case s := <-l.conns:
			s.Close()
		default:
			return
		}
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case s := <-l.conns:
		return s, nil
	case <-l.closed:
		return nil, l.err
	}
}

// Close takes the service back, and hides the adapters that were hidden before.
func (l *listener) Close() error {
	l.end(net.ErrClosed)
	l.cancel()
	l.watching.Wait()
	if l.bus.Err() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for _, a := range l.shown {
			_ = l.bus.SetDiscoverable(ctx, a, false)
		}
	}
	l.bus.Close()
	return nil
}

func (l *listener) Addr() net.Addr {
	return bluez.Addr(l.uuid + " on " + strings.Join(l.names, ", "))
}
