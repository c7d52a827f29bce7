package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// patience is how long anything may take that should take seconds.
const patience = 90 * time.Second

// kozoSystem is the name of what is measured beside the floors.
const kozoSystem = "kozo"

// throughput is how fast messages of one size arrive.
type throughput struct {
	System    string `json:"system"`
	Size      int    `json:"size"`
	PerSecond spread `json:"per_second"`
	CPU       spread `json:"cpu_seconds_per_million"`
	SenderCPU spread `json:"sender_cpu_seconds_per_million"`
	Sent      uint64 `json:"sent"`
	Lost      uint64 `json:"lost"`
}

// sample is one round of a throughput.
type sample struct {
	perSecond, cpu, senderCPU float64
	sent, lost                uint64
}

// pair is two processes of which one sends and the other reports.
type pair struct {
	sender, receiver *process
	close            func()
}

// load is what a pair is to do: a rate of 0 is as fast as possible.
type load struct {
	size, rate, samples int
	skip                time.Duration
}

// pairOf starts two nodes, or a floor whose name is its cipher.
func pairOf(ctx context.Context, system string, l load) (*pair, error) {
	if system != kozoSystem {
		return floorPair(ctx, system, l)
	}
	window := min(max(8<<20/l.size, 64), 16384)
	credit := window / 8
	if l.rate > 0 {
		credit = 0
	}
	net, err := newNetwork([]string{"source", "target"}, roomy, map[string]string{
		"source": fmt.Sprintf("      flood:\n        size: %d\n        window: %d\n        rate: %d\n", l.size, window, l.rate),
		"target": fmt.Sprintf("      sink:\n        credit: %d\n        skip: %v\n        samples: %d\n        messageQueueLength: 1000000\n        messageQueueSize: 512MiB\n", credit, l.skip, l.samples),
	})
	if err != nil {
		return nil, err
	}
	p := &pair{close: net.close}
	if p.receiver, err = net.start("target"); err == nil {
		p.sender, err = net.start("source")
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func floorPair(ctx context.Context, cipher string, l load) (*pair, error) {
	var all []*process
	address := make(chan string, 1)
	receiver, err := start("floor", nil, func(line string) {
		select {
		case address <- line:
		default:
		}
	}, "floor-receive", cipher, l.skip.String(), strconv.Itoa(l.samples))
	if err != nil {
		return nil, err
	}
	all = append(all, receiver)
	p := &pair{receiver: receiver, close: func() { stopAll(all) }}
	select {
	case a := <-address:
		p.sender, err = start("floor", nil, nil, "floor-send", cipher, a, strconv.Itoa(l.size), strconv.Itoa(l.rate))
	case <-ctx.Done():
		err = receiver.failed("it does not listen")
	}
	if err != nil {
		p.close()
		return nil, err
	}
	all = append(all, p.sender)
	return p, nil
}

// measureThroughput runs one system with one size for a time.
func measureThroughput(ctx context.Context, system string, size int, warm, length time.Duration) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := pairOf(ctx, system, load{size: size})
	if err != nil {
		return s, err
	}
	defer p.close()
	reading := func(after int64) (r report, sender, both time.Duration, err error) {
		if r, err = p.receiver.next(ctx, func(r report) bool { return r.Received > 0 && r.At >= after }); err != nil {
			return
		}
		if sender, err = cpuTime(p.sender.pid()); err != nil {
			return
		}
		receiver, err := cpuTime(p.receiver.pid())
		return r, sender, sender + receiver, err
	}
	first, _, _, err := reading(0)
	if err != nil {
		return s, err
	}
	r0, sender0, both0, err := reading(first.At + warm.Nanoseconds())
	if err != nil {
		return s, err
	}
	r1, sender1, both1, err := reading(r0.At + length.Nanoseconds())
	if err != nil {
		return s, err
	}
	n := float64(r1.Received - r0.Received)
	s.perSecond = n / time.Duration(r1.At-r0.At).Seconds()
	s.senderCPU = (sender1 - sender0).Seconds() / n * 1e6
	s.cpu = (both1 - both0).Seconds() / n * 1e6
	s.sent, s.lost = r1.Sent, r1.Sent-r1.Received
	return s, nil
}

// measureThroughputs runs every system with every size in every round, in
// another order each.
func measureThroughputs(ctx context.Context, o options, say func(string, ...any)) ([]throughput, error) {
	type cell struct {
		system string
		size   int
	}
	var cells []cell
	for _, size := range o.sizes {
		for _, system := range o.systems {
			cells = append(cells, cell{system, size})
		}
	}
	found := map[cell][]sample{}
	for round := range o.rounds {
		for _, i := range rand.Perm(len(cells)) {
			c := cells[i]
			say("round %d: throughput of %s, %d bytes", round+1, c.system, c.size)
			s, err := measureThroughput(ctx, c.system, c.size, o.warm, o.length)
			if err != nil {
				return nil, fmt.Errorf("%s with %d bytes: %w", c.system, c.size, err)
			}
			found[c] = append(found[c], s)
		}
	}
	var list []throughput
	for _, c := range cells {
		t := throughput{System: c.system, Size: c.size}
		var perSecond, cpu, senderCPU []float64
		for _, s := range found[c] {
			perSecond, cpu, senderCPU = append(perSecond, s.perSecond), append(cpu, s.cpu), append(senderCPU, s.senderCPU)
			t.Sent, t.Lost = t.Sent+s.sent, t.Lost+s.lost
		}
		t.PerSecond, t.CPU, t.SenderCPU = spreadOf(perSecond), spreadOf(cpu), spreadOf(senderCPU)
		list = append(list, t)
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
}

const (
	latencyRate = 1000
	latencySize = 256
)

func measureLatency(ctx context.Context, o options, system string) (quantiles, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := pairOf(ctx, system, load{size: latencySize, rate: latencyRate, skip: o.warm, samples: o.samples})
	if err != nil {
		return quantiles{}, err
	}
	defer p.close()
	r, err := p.receiver.next(ctx, func(r report) bool { return r.Latency != nil })
	if err != nil {
		return quantiles{}, err
	}
	return *r.Latency, nil
}

func measureLatencies(ctx context.Context, o options, say func(string, ...any)) ([]latency, error) {
	found := map[string][]quantiles{}
	for round := range o.rounds {
		for _, i := range rand.Perm(len(o.systems)) {
			system := o.systems[i]
			say("round %d: latency of %s", round+1, system)
			q, err := measureLatency(ctx, o, system)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", system, err)
			}
			found[system] = append(found[system], q)
		}
	}
	var list []latency
	for _, system := range o.systems {
		var p50, p99, p999 []float64
		for _, q := range found[system] {
			p50, p99, p999 = append(p50, q.P50), append(p99, q.P99), append(p999, q.P999)
		}
		list = append(list, latency{
			System: system, Rate: latencyRate, Size: latencySize, Samples: o.samples,
			P50: spreadOf(p50), P99: spreadOf(p99), P999: spreadOf(p999),
		})
	}
	return list, nil
}
