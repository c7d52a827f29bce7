package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"kozo"
	"kozo/bench/internal/traffic"
	"kozo/standard"
)

// registry has what ships and the roles that measure.
func registry() (*kozo.Registry, error) {
	types := standard.Registry()
	return types, errors.Join(types.AddRole(floodType()), types.AddRole(sinkType()), types.AddRole(bystanderType()))
}

// floodType is the sending role. Queues drop their oldest message when they are
// full, so a sender without a brake would measure how fast messages are thrown
// away. The brake is one for which roles need nothing special: the sink answers now
// and then, and at most a window of messages is on the way.
func floodType() kozo.RoleType {
	return kozo.DefineRole("flood", "Sends events as fast as they arrive at a sink, or at a rate.",
		func(o floodOptions) (kozo.Role, error) { return &flood{o}, nil })
}

type floodOptions struct {
	Size   kozo.Size `option:"size" default:"256" doc:"Bytes of the content of each message."`
	Window int       `option:"window" default:"1024" min:"1" doc:"Most messages on the way."`
	Sinks  int       `option:"sinks" default:"1" min:"1" doc:"How many sinks there are."`
	Rate   int       `option:"rate" default:"0" min:"0" doc:"Messages a second; 0 means as fast as they arrive."`
	Most   int       `option:"most" default:"0" min:"0" doc:"Stop after so many messages, if there is a rate; 0 means never."`
	Type   string    `option:"messages" default:"payload" doc:"Type of the messages."`
}

type flood struct{ floodOptions }

const creditType = "credit"

func (f *flood) Interest() []kozo.Filter {
	if f.Rate > 0 {
		return nil
	}
	return []kozo.Filter{{Kind: kozo.Order, Type: creditType}}
}

func (f *flood) Publishes() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Event, Type: f.Type}}
}

func (f *flood) Run(ctx context.Context, env *kozo.Env) error {
	body, err := kozo.Pack(make([]byte, f.Size))
	if err != nil {
		return err
	}
	m := kozo.Message{Kind: kozo.Event, Type: f.Type, Body: body}
	if f.Rate > 0 {
		return traffic.Pace(ctx, f.Rate, f.Most, func() error { return env.Send(m) })
	}
	window := traffic.NewWindow(f.Window, f.Sinks)
	for sent, open := int64(0), window.Open(); ctx.Err() == nil; {
		for ; sent < open; sent++ {
			if err := env.Send(m); err != nil {
				return err
			}
		}
		open = f.open(ctx, env, window, sent)
	}
	return nil
}

// open returns up to which message may be sent. If the sinks say nothing for a
// second then what was on the way is lost, and one more message asks again.
func (f *flood) open(ctx context.Context, env *kozo.Env, w *traffic.Window, sent int64) int64 {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	m, err := env.Inbox.Receive(ctx)
	if err != nil {
		return sent + 1
	}
	v, _ := m.Body.Value()
	n, _ := v.(int64)
	w.Arrived(string(m.From.Node), n)
	return w.Open()
}

// sinkType is the receiving role.
func sinkType() kozo.RoleType {
	return kozo.DefineRole("sink", "Counts the events of a flood, and reports on the standard output.",
		func(o sinkOptions) (kozo.Role, error) { return &sink{o}, nil })
}

type sinkOptions struct {
	Credit  int           `option:"credit" default:"0" min:"0" doc:"Answer after so many messages; 0 means never."`
	Skip    time.Duration `option:"skip" default:"0" min:"0" doc:"Leave out the latency of messages that were sent earlier than so long after the first arrival."`
	Samples int           `option:"samples" default:"0" min:"0" doc:"Report the latency of so many messages, and nothing else."`
	Counts  bool          `option:"counts" default:"false" doc:"Report how many messages there are although latency is measured."`
	Type    string        `option:"messages" default:"payload" doc:"Type of the messages."`
}

type sink struct{ sinkOptions }

func (s *sink) Interest() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Event, Type: s.Type}}
}

func (s *sink) Publishes() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Order, Type: creditType}}
}

func (s *sink) Run(ctx context.Context, env *kozo.Env) error {
	m := traffic.NewMeter(s.Skip, s.Samples)
	m.Counts = s.Counts
	var reports sync.WaitGroup
	defer reports.Wait()
	var failed error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reports.Go(func() {
		failed = m.Run(ctx.Done(), env.Out)
		cancel()
	})
	// The first message is answered too: the flood may have sent it to find out
	// whether we are there.
	unanswered := s.Credit
	for msg := range env.Messages(ctx) {
		m.Count(msg.Seq, msg.Time)
		if unanswered++; s.Credit > 0 && unanswered >= s.Credit {
			unanswered = 0
			if err := env.Order(creditType, "", msg.Seq); err != nil {
				return err
			}
		}
	}
	cancel()
	reports.Wait()
	return failed
}
