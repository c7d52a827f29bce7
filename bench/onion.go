package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kozo"
	"kozo/bench/internal/traffic"
	"kozo/internal/torlab"
	"kozo/standard"
)

// onionPart measures a link over Tor: a network of tor processes on this machine,
// so that what the distance costs is not in it. It is measured only if it is asked
// for, since it needs tor.
const onionPart = "onion"

// overTor is what a link over Tor can do.
type overTor struct {
	Connect   spread `json:"connect_ms"` // from the start of both nodes to the first link that is up, their services being new
	PerSecond spread `json:"per_second"` // messages of Size bytes
	Size      int    `json:"size"`
	P50       spread `json:"p50_us"` // from role to role, at Rate messages a second
	P99       spread `json:"p99_us"`
	Rate      int    `json:"rate"`
	LatencyOf int    `json:"latency_samples"`
}

const (
	onionSize    = 4 << 10
	onionRate    = 20
	onionSamples = 200
	onionTime    = 4 * time.Minute // for all of a round
)

// measureOverTor measures some rounds in one Tor network.
func measureOverTor(ctx context.Context, o options, say func(string, ...any)) (*overTor, error) {
	if missing := torlab.Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("not installed: %s", strings.Join(missing, ", "))
	}
	dir, err := os.MkdirTemp("", "kozo-bench-tor-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	say("build a Tor network")
	building, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	lab, err := torlab.New(building, dir)
	if err != nil {
		return nil, err
	}
	defer lab.Close()
	var tors [2]*torlab.Tor
	for i := range tors {
		if tors[i], err = lab.Client(building, torlab.Client{Name: fmt.Sprintf("client%d", i)}); err != nil {
			return nil, err
		}
		if err := tors[i].Joined(building); err != nil {
			return nil, err
		}
	}
	var connects, rates, p50, p99 []float64
	for round := range min(o.rounds, 3) {
		say("round %d: a link over Tor", round+1)
		connect, s, err := floodOverTor(ctx, tors)
		if err != nil {
			return nil, err
		}
		q, err := latencyOverTor(ctx, tors)
		if err != nil {
			return nil, err
		}
		connects, rates = append(connects, connect), append(rates, s)
		p50, p99 = append(p50, q.P50), append(p99, q.P99)
	}
	return &overTor{
		Connect: spreadOf(connects), PerSecond: spreadOf(rates), Size: onionSize,
		P50: spreadOf(p50), P99: spreadOf(p99), Rate: onionRate, LatencyOf: onionSamples,
	}, nil
}

// pairOverTor starts a source and a target that reach each other over Tor alone.
func pairOverTor(tors [2]*torlab.Tor, source, target string) (*network, error) {
	names := []string{"target", "source"}
	n, err := newNetwork(names, roomy, map[string]string{"source": source, "target": target})
	if err != nil {
		return nil, err
	}
	err = n.moveToTor(tors)
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

// moveToTor gives the nodes onion transports instead of those over TCP.
func (n *network) moveToTor(tors [2]*torlab.Tor) error {
	typ, ok := standard.Registry().Transport("onion")
	if !ok {
		return errors.New("there is no transport of type onion")
	}
	text, err := os.ReadFile(n.config())
	if err != nil {
		return err
	}
	for i, name := range n.nodes {
		keys := filepath.Join(n.dir, name+".onion")
		t, err := typ.New(kozo.Values{"controlPort": tors[i].Control(), "keyFile": kozo.Path(keys)})
		if err != nil {
			return err
		}
		values, err := t.(kozo.Announcer).Announce(&kozo.TransportEnv{})
		if err != nil {
			return err
		}
		tcp := fmt.Sprintf("      tcp:\n        address: 127.0.0.1\n        bindAddress: 127.0.0.1\n        port: %d\n", n.ports[i])
		onion := fmt.Sprintf("      onion:\n        address: %s\n        port: %d\n        socksProxy: %s\n        controlPort: %s\n        keyFile: %s\n",
			values["address"], n.ports[i], tors[i].Socks(), tors[i].Control(), keys)
		if !strings.Contains(string(text), tcp) {
			return fmt.Errorf("%s has no transport over TCP to replace", name)
		}
		text = []byte(strings.Replace(string(text), tcp, onion, 1))
	}
	return os.WriteFile(n.config(), text, 0o600)
}

// floodOverTor returns how long it took to connect, and how many messages a second
// arrived.
func floodOverTor(ctx context.Context, tors [2]*torlab.Tor) (connect, perSecond float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, onionTime)
	defer cancel()
	window := traffic.WindowFor(onionSize)
	begun := time.Now()
	n, err := pairOverTor(tors,
		fmt.Sprintf("      flood:\n        size: %d\n        window: %d\n", onionSize, window),
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
	if from, err = next(from.At + (2 * time.Second).Nanoseconds()); err != nil {
		return 0, 0, err
	}
	to, err := next(from.At + (5 * time.Second).Nanoseconds())
	if err != nil {
		return 0, 0, err
	}
	return connect, float64(to.Received-from.Received) / time.Duration(to.At-from.At).Seconds(), nil
}

func latencyOverTor(ctx context.Context, tors [2]*torlab.Tor) (traffic.Quantiles, error) {
	ctx, cancel := context.WithTimeout(ctx, onionTime)
	defer cancel()
	n, err := pairOverTor(tors,
		fmt.Sprintf("      flood:\n        size: %d\n        rate: %d\n", latencySize, onionRate),
		fmt.Sprintf("      sink:\n        skip: 1s\n        samples: %d\n", onionSamples))
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

func printOverTor(w io.Writer, v *overTor) {
	if v == nil {
		return
	}
	fmt.Fprintf(w, "\nOver Tor, all of it on this machine\n")
	fmt.Fprintf(w, "  first link up, in ms             %s\n", v.Connect.text(0))
	fmt.Fprintf(w, "  messages of %d bytes a second  %s\n", v.Size, v.PerSecond.text(0))
	fmt.Fprintf(w, "  latency p50, in microseconds     %s\n", v.P50.text(0))
	fmt.Fprintf(w, "  latency p99, in microseconds     %s\n", v.P99.text(0))
}
