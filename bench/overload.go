package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"

	"kozo/bench/internal/traffic"
	"kozo/internal/status"
)

// overload is a node that sends ten times what one of its links can carry, while
// another link of it carries a thousand messages a second as before.
type overload struct {
	Seconds  float64 `json:"seconds"`
	Line     int     `json:"line_bytes_per_second"` // what the network under the link carries
	Rate     int     `json:"rate"`                  // messages a second offered
	QueueKiB float64 `json:"queue_kib"`             // the bound that is configured

	Sent      uint64  `json:"sent"`
	Delivered uint64  `json:"delivered"` // as the sender says
	Received  uint64  `json:"received"`  // as the receiver says
	Dropped   uint64  `json:"dropped"`   // as the sender counts
	Newest    bool    `json:"newest"`    // the very last message arrived
	AgeP50    float64 `json:"age_p50_ms"`
	AgeMax    float64 `json:"age_max_ms"` // of what arrived, at the receiver

	GrownKiB  float64 `json:"grown_kib"`   // the sender's memory, at most, above what it has without the overload
	P50       spread  `json:"p50_us"`      // of the other link, while this goes on
	P99       spread  `json:"p99_us"`      //
	QuietP50  spread  `json:"base_p50_us"` // without the overload
	QuietP99  spread  `json:"base_p99_us"`
	P99Ratios spread  `json:"p99_by_base"` // round by round
}

// What is offered, and what the network carries of it.
const (
	overloadLine  = 1 << 20                                      // bytes a second
	overloadTimes = 10                                           // what it carries
	overloadFrame = 256 + 36                                     // bytes of a message of 256 on the wire
	overloadRate  = overloadTimes * overloadLine / overloadFrame // messages a second
	overloadQueue = 1 << 20                                      // bytes
)

// overloadRounds are few: each of them is long.
func (o *options) overloadRounds() int { return min(o.rounds, 3) }

// measureOverload runs each round with the overload and without, in any order.
func measureOverload(ctx context.Context, o options, say func(string, ...any)) (*overload, error) {
	result := &overload{Seconds: o.overload.Seconds(), Line: overloadLine, Rate: overloadRate, QueueKiB: overloadQueue >> 10}
	var p50, p99, quiet50, quiet99, ratios []float64
	for round := range o.overloadRounds() {
		var with, without overloadRun
		runs := []*overloadRun{&with, &without}
		for _, i := range rand.Perm(2) {
			say("round %d: overload of %v%s", round+1, o.overload, [...]string{"", ", without it"}[i])
			if err := runs[i].run(ctx, o, i == 0); err != nil {
				return nil, err
			}
		}
		result.Sent, result.Received = result.Sent+with.sent, result.Received+with.received
		result.Delivered, result.Dropped = result.Delivered+with.delivered, result.Dropped+with.dropped
		result.Newest = (round == 0 || result.Newest) && with.newest
		result.AgeP50, result.AgeMax = max(result.AgeP50, with.age.P50/1000), max(result.AgeMax, with.age.Max/1000)
		result.GrownKiB = max(result.GrownKiB, float64(with.resident-without.resident))
		p50, p99 = append(p50, with.other.P50), append(p99, with.other.P99)
		quiet50, quiet99 = append(quiet50, without.other.P50), append(quiet99, without.other.P99)
		ratios = append(ratios, with.other.P99/without.other.P99)
	}
	result.P50, result.P99, result.QuietP50, result.QuietP99 = spreadOf(p50), spreadOf(p99), spreadOf(quiet50), spreadOf(quiet99)
	result.P99Ratios = spreadOf(ratios)
	return result, nil
}

// overloadRun is one run of the network: with the overload, or with a message a
// second in its place.
type overloadRun struct {
	sent, delivered, received, dropped uint64
	newest                             bool
	resident                           int64 // KiB, the most
	age, other                         traffic.Quantiles
}

const overloadRoles = `      flood:
        rate: %d
        most: %d
      probe:
        type: flood
        messages: probe
        rate: 1000
`

func (r *overloadRun) run(ctx context.Context, o options, over bool) error {
	ctx, cancel := context.WithTimeout(ctx, o.overload+patience)
	defer cancel()
	seconds := max(1, int(o.overload.Seconds()))
	rate, most, ages := 1, seconds, 0
	if over {
		// Ages are taken of what nearly all of the time lets through.
		rate, most, ages = overloadRate, overloadRate*seconds, overloadLine/overloadFrame*seconds*7/10
	}
	line, err := newLine(overloadLine)
	if err != nil {
		return err
	}
	defer line.close()
	settings := fmt.Sprintf("outgoingQueueLength: 1000000\noutgoingQueueSize: %d\n", overloadQueue)
	net, err := newNetworkBehind([]string{"source", "slow", "other"}, settings, map[string]string{
		"source": fmt.Sprintf(overloadRoles, rate, most),
		"slow":   fmt.Sprintf("      sink:\n        samples: %d\n        counts: true\n", ages),
		"other":  fmt.Sprintf("      sink:\n        messages: probe\n        skip: 500ms\n        samples: %d\n", 1000*seconds-1000*seconds/10),
	}, map[string]string{"slow": line.address()})
	if err != nil {
		return err
	}
	defer net.close()
	line.leadsTo(net.ports[1])
	var nodes []*process
	for _, name := range []string{"slow", "other", "source"} {
		p, err := net.start(name)
		if err != nil {
			return err
		}
		nodes = append(nodes, p)
	}
	slow, other, source := nodes[0], nodes[1], nodes[2]
	watched := r.watch(ctx, source)
	report, err := other.next(ctx, func(t traffic.Report) bool { return t.Latency != nil })
	if err != nil {
		return err
	}
	r.other = *report.Latency
	if err := <-watched(); err != nil {
		return err
	}
	if ages > 0 {
		if report, err = slow.next(ctx, func(t traffic.Report) bool { return t.Latency != nil }); err != nil {
			return err
		}
		r.age = *report.Latency
	}
	return r.account(ctx, net, slow, uint64(most))
}

// watch keeps the most memory of a process until it is asked to stop.
func (r *overloadRun) watch(ctx context.Context, p *process) (stop func() <-chan error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		for pause(ctx, 50*time.Millisecond) == nil {
			kib, err := procField(p.pid(), "status", "VmRSS")
			if err != nil {
				done <- err
				return
			}
			r.resident = max(r.resident, kib)
		}
		done <- nil
	}()
	return func() <-chan error {
		cancel()
		return done
	}
}

// account waits until nothing is on its way any more, and asks both ends what
// became of the messages.
func (r *overloadRun) account(ctx context.Context, net *network, slow *process, most uint64) error {
	for {
		s, err := net.status(ctx, "source")
		if err != nil {
			return err
		}
		for _, l := range s.Links {
			if l.Peer == "slow" && l.Out.Sent == most && l.Out.Queued+l.Out.InFlight == 0 {
				r.sent, r.delivered, r.dropped = l.Out.Sent, l.Out.Delivered, status.Sum(l.Out.Dropped)
				last, err := slow.next(ctx, func(t traffic.Report) bool { return t.Received >= r.delivered })
				r.received, r.newest = last.Received, last.Received+last.Missing == most
				return err
			}
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// status asks a running node how it is, as a person would.
func (n *network) status(ctx context.Context, name string) (s status.Node, err error) {
	exe, err := os.Executable()
	if err != nil {
		return s, err
	}
	cmd := exec.CommandContext(ctx, exe, "node", "status", "--json", "--node", name)
	cmd.Env = append(os.Environ(), append(n.env(), childVariable+"=1", profileVariable+"=")...)
	out, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("status of %s: %w", name, err)
	}
	return s, json.Unmarshal(out, &s)
}

func printOverload(w io.Writer, v *overload) {
	if v == nil {
		return
	}
	fmt.Fprintf(w, "\nTen times what a link can carry (%.1f MB/s) for %.0f s\n", float64(v.Line)/1e6, v.Seconds)
	fmt.Fprintf(w, "  %d sent = %d delivered + %d dropped; %d received; the last one arrived: %t\n", v.Sent, v.Delivered, v.Dropped, v.Received, v.Newest)
	fmt.Fprintf(w, "  age of what arrives     %.0f ms, at most %.0f ms\n", v.AgeP50, v.AgeMax)
	fmt.Fprintf(w, "  memory of the sender    %.1f MiB more, with a queue of %.1f MiB\n", v.GrownKiB/1024, v.QueueKiB/1024)
	fmt.Fprintf(w, "  latency of another link p50 %s µs (without %s), p99 %s µs (without %s), p99 by that without %s\n",
		v.P50.text(0), v.QuietP50.text(0), v.P99.text(0), v.QuietP99.text(0), v.P99Ratios.text(2))
}
