package node

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"kozo"
	"kozo/internal/secure"
	"kozo/internal/status"
	"kozo/internal/supervise"
	"kozo/internal/system"
)

// port is a transport of the node: it listens, and lets peers in.
type port struct {
	node      *Node
	transport *system.Transport
	env       *kozo.TransportEnv
	log       *slog.Logger

	tried sync.Once

	mu      sync.Mutex
	listens string
	err     error // of listening
	broken  error // of what runs for the transport, while it does not
}

// A transport that cannot listen tries again: first after a moment, then more
// and more rarely.
const (
	firstListen   = 500 * time.Millisecond
	slowestListen = 30 * time.Second
)

// run listens until ctx is done, whatever happens to the listener and to what
// runs for the transport.
func (p *port) run(ctx context.Context) {
	var runner sync.WaitGroup
	defer runner.Wait()
	if r, ok := p.transport.Transport.(kozo.Runner); ok {
		runner.Go(func() { p.keep(ctx, r) })
	}
	defer p.ready()
	if len(p.transport.Transport.Endpoints()) == 0 {
		return
	}
	_ = supervise.Run(ctx, supervise.Options{
		Min: firstListen, Max: slowestListen,
		Healthy: time.Minute, Log: p.log,
	}, p.listen)
}

// keep runs what the transport needs, over and over.
func (p *port) keep(ctx context.Context, r kozo.Runner) {
	_ = supervise.Run(ctx, supervise.Options{
		Min: firstListen, Max: slowestListen,
		Healthy: time.Minute, Log: p.log,
		OnChange: func(s supervise.State) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.broken = nil
			if s.State == supervise.Waiting {
				p.broken = s.Err
			}
		},
	}, func(ctx context.Context) error {
		err := r.Run(ctx, p.env)
		if err == nil {
			err = errors.New("it has ended")
		}
		return err
	})
}

func (p *port) ready() { p.tried.Do(p.node.pending.Done) }

// listen accepts connections until the listener fails or ctx is done.
func (p *port) listen(ctx context.Context) error {
	l, err := p.transport.Transport.Listen(ctx, p.env)
	if err != nil {
		p.set("", err)
		p.ready()
		return err
	}
	p.set(l.Addr().String(), nil)
	p.log.Info("listening", "endpoint", l.Addr().String())
	p.ready()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer func() { _ = l.Close() }()
	for {
		raw, err := l.Accept()
		if ctx.Err() != nil {
			if raw != nil {
				_ = raw.Close()
			}
			return nil
		}
		if err != nil {
			if temporary(err) {
				if err := pause(ctx, acceptPause); err != nil {
					return nil
				}
				continue
			}
			p.set("", err)
			return err
		}
		p.node.conns.Go(func() { p.admit(ctx, raw) })
	}
}

// acceptPause is how long to wait when the machine has no room for another
// connection.
const acceptPause = 50 * time.Millisecond

// temporary says whether accepting may work again in a moment: a connection
// that was gone before it was accepted, or a lack of file descriptors.
func temporary(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// refuse notes who was not let in. Only those who spoke the protocol are worth
// a word: scanners knock at every open port.
func (p *port) refuse(err error) {
	var s *secure.Stranger
	if !errors.As(err, &s) {
		p.log.Debug("handshake failed", "err", err) // it says with whom
		return
	}
	if p.node.knocks.add(s) {
		p.log.Warn("refused a stranger", "endpoint", s.Address, "peer", s.Name,
			"reason", s.Reason, "key", s.Key.Line())
	}
}

func (p *port) set(listens string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listens, p.err = listens, err
}

func (p *port) status() status.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := status.Transport{Name: p.transport.Name, Type: p.transport.Type, Listens: p.listens}
	if err := cmp.Or(p.broken, p.err); err != nil {
		s.Error = err.Error()
	}
	return s
}
