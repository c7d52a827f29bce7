package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"kozo/bench/internal/traffic"
)

// slowLink is what a link can do over a transport that takes its time.
type slowLink struct {
	Connect   spread `json:"connect_ms"` // from the start of both nodes to the first link that is up
	PerSecond spread `json:"per_second"` // messages of Size bytes
	Size      int    `json:"size"`
	P50       spread `json:"p50_us"` // from role to role, at Rate messages a second
	P99       spread `json:"p99_us"`
	Rate      int    `json:"rate"`
	LatencyOf int    `json:"latency_samples"` // of each round
}

const (
	slowSize    = 4 << 10
	slowRate    = 20
	slowSamples = 200
	slowRounds  = 3
	slowTime    = 4 * time.Minute // for all of a round
)

// slowLoad is how a slow link is loaded.
type slowLoad struct {
	Rounds  int
	Samples int           // of latency
	Calm    time.Duration // before latency is measured: the link the other way comes up
	Warm    time.Duration // before messages are counted
	Length  time.Duration // for which they are
}

// slowParts are measured only if they are asked for, since they need other programs.
var slowParts = [...]string{bluetoothPart, onionPart}

// measureSlowLinks measures those that were asked for. What this machine cannot
// measure is left out, and why is said.
func measureSlowLinks(ctx context.Context, o options, r *results, say func(string, ...any)) error {
	load := slowLoad{Rounds: min(o.rounds, slowRounds), Samples: slowSamples, Calm: 5 * time.Second, Warm: 2 * time.Second, Length: 5 * time.Second}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	for _, part := range slowParts {
		if !slices.Contains(o.parts, part) {
			continue
		}
		var err error
		switch part {
		case bluetoothPart:
			r.Bluetooth, err = measureOverBluetooth(ctx, load, exe, say)
		case onionPart:
			r.Onion, err = measureOverTor(ctx, load, say)
		}
		if errors.Is(err, errUnavailable) {
			say("%s is left out: %v", part, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		r.Parts[part] = partRecord{When: time.Now().UTC().Truncate(time.Second), Quick: o.quick, Rounds: load.Rounds}
	}
	return nil
}

// errUnavailable is wrapped by errors that say why a part cannot be measured here.
var errUnavailable = errors.New("this machine cannot measure it")

// measureSlowLink measures a link between two nodes, whose transports over TCP move
// replaces by others.
func measureSlowLink(ctx context.Context, load slowLoad, move func(*network) error, say func(string, ...any)) (*slowLink, error) {
	var connects, rates, p50, p99 []float64
	for round := range load.Rounds {
		say("round %d", round+1)
		connect, s, err := load.flood(ctx, move)
		if err != nil {
			return nil, err
		}
		q, err := load.latency(ctx, move)
		if err != nil {
			return nil, err
		}
		connects, rates = append(connects, connect), append(rates, s)
		p50, p99 = append(p50, q.P50), append(p99, q.P99)
	}
	return &slowLink{
		Connect: spreadOf(connects), PerSecond: spreadOf(rates), Size: slowSize,
		P50: spreadOf(p50), P99: spreadOf(p99), Rate: slowRate, LatencyOf: load.Samples,
	}, nil
}

// movedPair starts a source and a target that reach each other over other
// transports than TCP.
func movedPair(move func(*network) error, source, target string) (*network, error) {
	names := []string{"target", "source"}
	n, err := newNetwork(names, roomy, map[string]string{"source": source, "target": target})
	if err != nil {
		return nil, err
	}
	err = move(n)
	for _, name := range names {
		if err == nil {
			_, err = n.start(name)
		}
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// replaceTCP puts other transports into the place of those over TCP: what the file
// should have of them, in the order of the nodes.
func (n *network) replaceTCP(others []string) error {
	data, err := os.ReadFile(n.config())
	if err != nil {
		return err
	}
	text := string(data)
	for i, name := range n.nodes {
		tcp := n.tcpOptions(i, "127.0.0.1")
		if !strings.Contains(text, tcp) {
			return fmt.Errorf("%s has no transport over TCP to replace", name)
		}
		text = strings.Replace(text, tcp, others[i], 1)
	}
	return os.WriteFile(n.config(), []byte(text), 0o600)
}

// flood returns how many milliseconds it took to connect, and how many messages a
// second arrived.
func (load slowLoad) flood(ctx context.Context, move func(*network) error) (connect, perSecond float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, slowTime)
	defer cancel()
	window := traffic.WindowFor(slowSize)
	begun := time.Now()
	n, err := movedPair(move,
		fmt.Sprintf("      flood:\n        size: %d\n        window: %d\n", slowSize, window),
		fmt.Sprintf("      sink:\n        credit: %d\n        messageQueueLength: 1000000\n        messageQueueSize: 512MiB\n", traffic.CreditFor(window)))
	if err != nil {
		return 0, 0, err
	}
	defer n.close()
	if err := n.await(ctx, linkUp, 1); err != nil {
		return 0, 0, err
	}
	connect = float64(time.Since(begun).Milliseconds())
	sink := n.all[0]
	next := func(after int64) (traffic.Report, error) {
		return sink.next(ctx, func(r traffic.Report) bool { return r.Received > 0 && r.At >= after })
	}
	from, err := next(0)
	if err != nil {
		return 0, 0, err
	}
	if from, err = next(from.At + load.Warm.Nanoseconds()); err != nil {
		return 0, 0, err
	}
	to, err := next(from.At + load.Length.Nanoseconds())
	if err != nil {
		return 0, 0, err
	}
	return connect, float64(to.Received-from.Received) / time.Duration(to.At-from.At).Seconds(), nil
}

func (load slowLoad) latency(ctx context.Context, move func(*network) error) (traffic.Quantiles, error) {
	ctx, cancel := context.WithTimeout(ctx, slowTime)
	defer cancel()
	n, err := movedPair(move,
		fmt.Sprintf("      flood:\n        size: %d\n        rate: %d\n", latencySize, slowRate),
		fmt.Sprintf("      sink:\n        skip: %v\n        samples: %d\n", load.Calm, load.Samples))
	if err != nil {
		return traffic.Quantiles{}, err
	}
	defer n.close()
	r, err := n.all[0].next(ctx, func(r traffic.Report) bool { return r.Latency != nil })
	if err != nil {
		return traffic.Quantiles{}, err
	}
	return *r.Latency, nil
}

func (v *slowLink) print(w io.Writer, title string) {
	if v == nil {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	fmt.Fprintf(w, "  first link up, in ms             %s\n", v.Connect.text(0))
	fmt.Fprintf(w, "  messages of %d bytes a second  %s\n", v.Size, v.PerSecond.text(0))
	fmt.Fprintf(w, "  latency p50, in microseconds     %s\n", v.P50.text(0))
	fmt.Fprintf(w, "  latency p99, in microseconds     %s\n", v.P99.text(0))
}

// slowText is what the page of a transport shows of a link over it, which was
// measured on other things besides this machine.
func (r *results) slowText(part string, v *slowLink, on string) string {
	if v == nil {
		return "Not measured yet.\n"
	}
	p := r.Parts[part]
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s in %d rounds, on %d cores of an %s that others were using as well%s.\n\n| | median | range |\n|---|---:|---:|\n",
		p.When.Format(time.DateOnly), p.Rounds, r.Machine.Cores, r.Machine.CPU, on)
	row := func(what string, s spread, unit string, digits int) {
		fmt.Fprintf(&b, "| %s | %s %s | %s to %s |\n", what, number(s.Median, digits), unit, number(s.Min, digits), number(s.Max, digits))
	}
	row("from the start of two nodes to the first link", v.Connect.scaled(1e-3), "s", 1)
	row("messages of "+number(float64(v.Size), 0)+" bytes", v.PerSecond, "a second", 0)
	row("their content", v.PerSecond.scaled(float64(v.Size)/1e3), "kB a second", 0)
	row(fmt.Sprintf("from role to role at %d a second, half of the messages", v.Rate), v.P50.scaled(1e-3), "ms", 1)
	row("the same, 99 of 100", v.P99.scaled(1e-3), "ms", 1)
	return b.String()
}
