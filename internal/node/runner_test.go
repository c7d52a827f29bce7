package node_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"kozo"
	"kozo/transports/tcp"
)

// helpedType is a transport that needs something to run, which fails for as long
// as ill is true.
func helpedType(ill *atomic.Bool) kozo.TransportType {
	typ := tcp.Type()
	typ.Name = "helped"
	under := typ.New
	typ.New = func(v kozo.Values) (kozo.Transport, error) {
		t, err := under(v)
		return &helped{Transport: t, ill: ill}, err
	}
	return typ
}

type helped struct {
	kozo.Transport
	ill   *atomic.Bool
	ready atomic.Bool
}

func (h *helped) Run(ctx context.Context, _ *kozo.TransportEnv) error {
	if h.ill.Load() {
		return errors.New("the helper does not start")
	}
	h.ready.Store(true)
	defer h.ready.Store(false)
	<-ctx.Done()
	return nil
}

func (h *helped) Dial(ctx context.Context, env *kozo.TransportEnv, endpoint string) (net.Conn, error) {
	if !h.ready.Load() {
		return nil, errors.New("there is no helper")
	}
	return h.Transport.Dial(ctx, env, endpoint)
}

// What a transport needs to run is run again when it fails, and the status says
// why it does not.
func TestWhatRunsForATransportIsRunAgain(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, quick)
		w.helperIsIll.Store(true)
		specs := []spec{{name: "a", typ: "helped"}, {name: "b", typ: "helped"}}
		w.sys = w.parse(quick, specs)
		for _, s := range specs {
			w.start(s.name)
		}
		w.until("the status to say why", func() bool {
			return w.node("a").Status().Transports[0].Error == "the helper does not start" &&
				strings.Contains(w.link("a", "b").Reason, "there is no helper")
		})
		w.helperIsIll.Store(false)
		w.allUp()
		// The link can be up by the helper of the other node alone.
		w.until("the status to be well", func() bool {
			s := w.node("a").Status().Transports[0]
			return s.Error == "" && s.Listens != ""
		})
	})
}
