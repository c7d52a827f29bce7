package node_test

import (
	"context"
	"time"

	"kozo"
	"kozo/transports/tcp"
)

// types are the real tcp transport and the roles of the tests: "source" sends
// what a test tells it to, "sink" keeps what it gets.
func (w *world) types() *kozo.Registry {
	r := kozo.NewRegistry()
	for _, err := range []error{
		r.AddTransport(tcp.Type()),
		r.AddTransport(slowType()),
		r.AddTransport(pinnedType()),
		r.AddTransport(claimingType()),
		r.AddTransport(helpedType(&w.helperIsIll)),
		r.AddRole(kozo.DefineRole("source", "sends for a test", func(struct{}) (kozo.Role, error) {
			return source{w}, nil
		})),
		r.AddRole(kozo.DefineRole("sink", "receives for a test", func(o sinkOptions) (kozo.Role, error) {
			filter, err := kozo.ParseFilter(o.Want)
			return &sink{world: w, options: o, filter: filter}, err
		})),
		r.AddRole(kozo.DefineRole("counter", "counts for a benchmark", func(struct{}) (kozo.Role, error) {
			return counter{w}, nil
		})),
	} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return r
}

type source struct{ world *world }

func (s source) Run(ctx context.Context, env *kozo.Env) error {
	s.world.mu.Lock()
	s.world.envs[env.Self] = env
	s.world.mu.Unlock()
	<-ctx.Done()
	return nil
}

type sinkOptions struct {
	Want  string        `option:"want" default:"*" doc:"filter"`
	Pause time.Duration `option:"pause" default:"0" doc:"after each message"`
	Never bool          `option:"never" default:"false" doc:"reads nothing"`
}

type sink struct {
	world   *world
	options sinkOptions
	filter  kozo.Filter
}

func (s *sink) Interest() []kozo.Filter { return []kozo.Filter{s.filter} }

func (s *sink) Run(ctx context.Context, env *kozo.Env) error {
	if s.options.Never {
		<-ctx.Done()
		return nil
	}
	for m := range env.Messages(ctx) {
		s.world.mu.Lock()
		s.world.got[env.Self] = append(s.world.got[env.Self], m)
		s.world.mu.Unlock()
		if s.options.Pause > 0 {
			time.Sleep(s.options.Pause)
		}
	}
	return nil
}

type counter struct{ world *world }

func (counter) Interest() []kozo.Filter { return []kozo.Filter{{}} }

func (c counter) Run(ctx context.Context, env *kozo.Env) error {
	last := uint64(0)
	for m := range env.Messages(ctx) {
		if m.Seq != last+1 {
			c.world.astray.Add(1)
		}
		last = m.Seq
		c.world.counted.Add(1)
	}
	return nil
}
