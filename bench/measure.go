package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"kozo/bench/internal/traffic"
)

// patience is how long anything may take that should take seconds.
const patience = 90 * time.Second

// kozoSystem is the name of what is measured beside the floors.
const kozoSystem = "kozo"

// throughput is how fast messages of one size arrive.
type throughput struct {
	System    string `json:"system"`
	Size      int    `json:"size"`
	Receivers int    `json:"receivers"`
	PerSecond spread `json:"per_second"` // delivered, all receivers together
	CPU       spread `json:"cpu_seconds_per_million"`
	SenderCPU spread `json:"sender_cpu_seconds_per_million"`
	Overhead  spread `json:"overhead_bytes,omitzero"` // on the wire for each message delivered, above its content; 0 is unknown
	Sent      uint64 `json:"sent"`
	Lost      uint64 `json:"lost"`

	rounds map[int]sample // by round; one that failed is not there
}

// summed fills in what its rounds gave.
func (t *throughput) summed() {
	of := func(figure func(sample) float64) spread {
		var values []float64
		for _, s := range t.rounds {
			values = append(values, figure(s))
		}
		return spreadOf(values)
	}
	for _, s := range t.rounds {
		t.Sent, t.Lost = t.Sent+s.sent, t.Lost+s.lost
	}
	t.PerSecond = of(func(s sample) float64 { return s.perSecond })
	t.CPU = of(func(s sample) float64 { return s.cpu })
	t.SenderCPU = of(func(s sample) float64 { return s.senderCPU })
	t.Overhead = of(func(s sample) float64 { return s.overhead })
}

// sample is one round of a throughput.
type sample struct {
	perSecond, cpu, senderCPU, overhead float64
	sent, lost                          uint64
}

// group is processes of which one sends and some report; there may be one more
// between them.
type group struct {
	sender    *process
	receivers []*process
	all       []*process
	close     func()
}

// load is what a group is to do: a rate of 0 is as fast as possible.
type load struct {
	size, rate, samples, receivers int
	skip                           time.Duration
	beside                         string // more roles of each receiving node; only of kozo
}

// groupOf starts nodes, or a floor, or a neighbour.
func (o *options) groupOf(ctx context.Context, system string, l load) (*group, error) {
	if system == kozoSystem {
		return nodes(l)
	}
	if f, ok := floorNamed(system); ok {
		return floorPair(ctx, f, l)
	}
	return o.neighbours.group(system, l)
}

func nodes(l load) (*group, error) {
	window := traffic.WindowFor(l.size)
	credit := traffic.CreditFor(window)
	if l.rate > 0 {
		credit = 0
	}
	names := []string{"source"}
	roles := map[string]string{
		"source": fmt.Sprintf("      flood:\n        size: %d\n        window: %d\n        rate: %d\n        sinks: %d\n", l.size, window, l.rate, l.receivers),
	}
	for i := range l.receivers {
		name := fmt.Sprintf("target%d", i)
		names = append(names, name)
		roles[name] = fmt.Sprintf("      sink:\n        credit: %d\n        skip: %v\n        samples: %d\n        messageQueueLength: 1000000\n        messageQueueSize: 512MiB\n", credit, l.skip, l.samples) + l.beside
	}
	net, err := newNetwork(names, roomy, roles)
	if err != nil {
		return nil, err
	}
	g := &group{close: net.close}
	for _, name := range names[1:] {
		p, err := net.start(name)
		if err != nil {
			g.close()
			return nil, err
		}
		g.receivers = append(g.receivers, p)
	}
	if g.sender, err = net.start("source"); err != nil {
		g.close()
		return nil, err
	}
	g.all = net.all
	return g, nil
}

func floorPair(ctx context.Context, f floor, l load) (*group, error) {
	g := &group{}
	g.close = func() { stopAll(g.all) }
	address := make(chan string, 1)
	receiver, err := start(f.name, nil, func(line string) {
		select {
		case address <- line:
		default:
		}
	}, "floor-receive", f.name, l.skip.String(), strconv.Itoa(l.samples))
	if err != nil {
		return nil, err
	}
	g.all, g.receivers = []*process{receiver}, []*process{receiver}
	select {
	case a := <-address:
		g.sender, err = start(f.name, nil, nil, "floor-send", f.name, a, strconv.Itoa(l.size), strconv.Itoa(l.rate))
	case <-receiver.done:
		err = receiver.failed("it ended")
	case <-ctx.Done():
		err = receiver.failed("it does not listen")
	}
	if err != nil {
		g.close()
		return nil, err
	}
	g.all = append(g.all, g.sender)
	return g, nil
}

// reading is how far a group is at one moment.
type reading struct {
	reports     []traffic.Report // of each receiver
	sender, all time.Duration    // of CPU
	wire        int64            // bytes
}

// read waits until all receivers have reported something at some time or later.
func (g *group) read(ctx context.Context, after int64) (r reading, err error) {
	for _, p := range g.receivers {
		report, err := p.next(ctx, func(r traffic.Report) bool { return r.Received > 0 && r.At >= after })
		if err != nil {
			return r, err
		}
		r.reports = append(r.reports, report)
	}
	if r.sender, err = cpuTime(g.sender.pid()); err != nil {
		return r, err
	}
	if r.all, err = usage(g.all); err != nil {
		return r, err
	}
	r.wire = wireBytes()
	return r, nil
}

// measureThroughput runs one system with one load for a time.
func measureThroughput(ctx context.Context, o options, system string, l load) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	g, err := o.groupOf(ctx, system, l)
	if err != nil {
		return s, err
	}
	defer g.close()
	at := int64(0)
	var from, to reading
	for _, wait := range []struct {
		r *reading
		d time.Duration
	}{{&from, 0}, {&from, o.warm}, {&to, o.length}} {
		if *wait.r, err = g.read(ctx, at+wait.d.Nanoseconds()); err != nil {
			return s, err
		}
		at = wait.r.reports[len(wait.r.reports)-1].At
	}
	n := 0.0
	for i, r1 := range to.reports {
		r0 := from.reports[i]
		received := float64(r1.Received - r0.Received)
		n += received
		s.perSecond += received / time.Duration(r1.At-r0.At).Seconds()
		lost := r1.Missing - r0.Missing
		s.sent, s.lost = s.sent+r1.Received-r0.Received+lost, s.lost+lost
	}
	if n == 0 {
		return s, g.receivers[0].failed("nothing arrives any more")
	}
	s.senderCPU = (to.sender - from.sender).Seconds() / n * 1e6
	s.cpu = (to.all - from.all).Seconds() / n * 1e6
	if isolated() {
		s.overhead = float64(to.wire-from.wire)/n - float64(l.size)
	}
	return s, nil
}

// measureThroughputs runs every system with every size in every round, in
// another order each. A neighbour that fails is left out of that round.
func measureThroughputs(ctx context.Context, o options, receivers int, sizes []int, systems []string, say func(string, ...any)) ([]throughput, error) {
	var list []throughput
	for _, size := range sizes {
		for _, system := range systems {
			list = append(list, throughput{System: system, Size: size, Receivers: receivers, rounds: map[int]sample{}})
		}
	}
	for round := range o.rounds {
		for _, i := range rand.Perm(len(list)) {
			t := &list[i]
			say("round %d: throughput of %s, %d bytes to %d", round+1, t.System, t.Size, receivers)
			s, err := measureThroughput(ctx, o, t.System, load{size: t.Size, receivers: receivers})
			switch {
			case err == nil:
				t.rounds[round] = s
			case ctx.Err() != nil || !o.neighbours.has(t.System):
				return nil, fmt.Errorf("%s with %d bytes: %w", t.System, t.Size, err)
			default:
				say("left out: %v", err)
			}
		}
	}
	for i := range list {
		list[i].summed()
	}
	return list, nil
}

// latency is how long messages take at a moderate rate.
type latency struct {
	System  string `json:"system"`
	Rate    int    `json:"rate"`
	Size    int    `json:"size"`
	Samples int    `json:"samples"` // in each round
	P50     spread `json:"p50_us"`
	P99     spread `json:"p99_us"`
	P999    spread `json:"p999_us"`

	rounds map[int]traffic.Quantiles // by round; one that failed is not there
}

const (
	latencyRate = 1000
	latencySize = 256
	fanoutSize  = 256
)

// latencySystems leaves out the floor that differs from another one only when it
// is flooded.
func (o *options) latencySystems() []string {
	return slices.DeleteFunc(slices.Clone(o.systems), func(s string) bool { return s == "ssh-each" })
}

func measureLatency(ctx context.Context, o options, system string) (traffic.Quantiles, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	g, err := o.groupOf(ctx, system, load{size: latencySize, rate: latencyRate, skip: o.warm, samples: o.samples, receivers: 1})
	if err != nil {
		return traffic.Quantiles{}, err
	}
	defer g.close()
	r, err := g.receivers[0].next(ctx, func(r traffic.Report) bool { return r.Latency != nil })
	if err != nil {
		return traffic.Quantiles{}, err
	}
	return *r.Latency, nil
}

func measureLatencies(ctx context.Context, o options, systems []string, say func(string, ...any)) ([]latency, error) {
	var list []latency
	for _, system := range systems {
		list = append(list, latency{System: system, Rate: latencyRate, Size: latencySize, Samples: o.samples, rounds: map[int]traffic.Quantiles{}})
	}
	for round := range o.rounds {
		for _, i := range rand.Perm(len(list)) {
			l := &list[i]
			say("round %d: latency of %s", round+1, l.System)
			q, err := measureLatency(ctx, o, l.System)
			switch {
			case err == nil:
				l.rounds[round] = q
			case ctx.Err() != nil || !o.neighbours.has(l.System):
				return nil, fmt.Errorf("%s: %w", l.System, err)
			default:
				say("left out: %v", err)
			}
		}
	}
	for i := range list {
		l := &list[i]
		var p50, p99, p999 []float64
		for _, q := range l.rounds {
			p50, p99, p999 = append(p50, q.P50), append(p99, q.P99), append(p999, q.P999)
		}
		l.P50, l.P99, l.P999 = spreadOf(p50), spreadOf(p99), spreadOf(p999)
	}
	return list, nil
}
