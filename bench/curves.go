package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"kozo"
	"kozo/bench/internal/traffic"
)

// curve is how fast messages arrive at a node that has more and more of something.
type curve struct {
	Of        string `json:"of"`
	Count     int    `json:"count"`
	PerSecond spread `json:"per_second"` // messages, each counted once
	CPU       spread `json:"cpu_seconds_per_million"`

	t throughput
}

// What a receiving node has more and more of.
const (
	curveFilters  = "filters that do not match"
	curveChannels = "filters that differ in channel"
	curveOthers   = "roles that want other messages"
	curveWanting  = "roles that want every message"
)

// measureCurves measures throughput against what the receiving node has, in
// another order in every round.
func measureCurves(ctx context.Context, o options, say func(string, ...any)) ([]curve, error) {
	var list []curve
	for _, of := range [...]string{curveFilters, curveChannels, curveOthers, curveWanting} {
		for count := 1; count <= o.most; count *= 10 {
			if count > 100 && (of == curveOthers || of == curveWanting) {
				break
			}
			list = append(list, curve{Of: of, Count: count, t: throughput{rounds: map[int]sample{}}})
		}
	}
	for round := range o.rounds {
		for _, i := range rand.Perm(len(list)) {
			c := &list[i]
			say("round %d: %d %s", round+1, c.Count, c.Of)
			s, err := measureThroughput(ctx, o, kozoSystem, load{size: fanoutSize, receivers: 1, beside: c.beside()})
			if err != nil {
				return nil, fmt.Errorf("%d %s: %w", c.Count, c.Of, err)
			}
			c.t.rounds[round] = s
		}
	}
	for i := range list {
		c := &list[i]
		c.t.summed()
		c.PerSecond, c.CPU = c.t.PerSecond, c.t.CPU
	}
	return list, nil
}

// beside returns the roles that a receiving node has beside the sink, which is
// one that wants the messages by one filter.
func (c *curve) beside() string {
	var b strings.Builder
	switch c.Of {
	case curveFilters, curveChannels:
		if c.Count > 1 {
			fmt.Fprintf(&b, "      other:\n        type: bystander\n        filters: %d\n        channels: %t\n", c.Count-1, c.Of == curveChannels)
		}
	default:
		for i := range c.Count - 1 {
			fmt.Fprintf(&b, "      role%d:\n        type: bystander\n        filters: 1\n        all: %t\n", i, c.Of == curveWanting)
		}
	}
	return b.String()
}

// bystanderType is a role that is there while others are measured.
func bystanderType() kozo.RoleType {
	return kozo.DefineRole("bystander", "Has filters, and throws away what it gets.",
		func(o bystanderOptions) (kozo.Role, error) { return &bystander{o}, nil })
}

type bystanderOptions struct {
	Filters  int  `option:"filters" default:"1" min:"1" doc:"How many filters it has, which match nothing."`
	Channels bool `option:"channels" default:"false" doc:"Differ from what is measured in the channel, not in the type."`
	All      bool `option:"all" default:"false" doc:"Have one more, which matches what is measured."`
}

type bystander struct{ bystanderOptions }

func (b *bystander) Interest() []kozo.Filter {
	var filters []kozo.Filter
	for i := range b.Filters {
		f := kozo.Filter{Kind: kozo.Event, Type: fmt.Sprint("other", i)}
		if b.Channels {
			f.Type, f.Channel = traffic.PayloadType, f.Type
		}
		filters = append(filters, f)
	}
	if b.All {
		filters = append(filters, kozo.Filter{Kind: kozo.Event, Type: traffic.PayloadType})
	}
	return filters
}

func (b *bystander) Run(ctx context.Context, env *kozo.Env) error {
	for range env.Messages(ctx) {
		continue
	}
	return nil
}

func printCurves(w io.Writer, list []curve) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%d-byte messages to a node that has more and more\n", fanoutSize)
	t := table(w)
	fmt.Fprintln(t, "\t\tmessages/s\tCPU-s per million\t")
	for _, v := range list {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t\n", v.Count, v.Of, v.PerSecond.text(0), v.CPU.text(2))
	}
	_ = t.Flush() // w is the terminal or a buffer
}
