package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"kozo/bench/internal/traffic"
)

// neighbour is what people would pick instead of Kōzō. Another program has the two
// ends of each, so that what they need is no dependency of Kōzō.
type neighbour struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Broker  bool   `json:"broker,omitempty"` // it has a process between the ends
}

// neighbours are those that this machine has.
type neighbours struct {
	program string
	dir     string // of keys and certificates
	list    []neighbour
}

// findNeighbours asks the program which neighbours there are, and lets it make
// their keys. The result must be closed.
func findNeighbours(ctx context.Context, program string) (*neighbours, error) {
	n := &neighbours{program: program}
	if program == "" {
		return n, nil
	}
	var err error
	if n.program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	if n.dir, err = os.MkdirTemp("", "kozo-bench-peers-"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, n.program, "prepare", n.dir).Output()
	if err == nil {
		err = json.Unmarshal(out, &n.list)
	}
	if err != nil {
		n.close()
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return n, nil
}

func (n *neighbours) close() {
	if n.dir != "" {
		os.RemoveAll(n.dir)
	}
}

func (n *neighbours) names() []string {
	var names []string
	for _, v := range n.list {
		names = append(names, v.Name)
	}
	return names
}

// known are those that the other program has on a machine that has everything.
var known = [...]string{"nats", "mosquitto", "mosquitto-paho", "zeromq"}

// leftOut are those that this machine does not have.
func leftOut(list []neighbour) (names []string) {
	for _, name := range known {
		if !slices.ContainsFunc(list, func(v neighbour) bool { return v.Name == name }) {
			names = append(names, name)
		}
	}
	return names
}

func (n *neighbours) has(system string) bool { return slices.Contains(n.names(), system) }

// group starts a neighbour. Every process of it looks for the others by itself.
func (n *neighbours) group(system string, l load) (*group, error) {
	i := slices.IndexFunc(n.list, func(v neighbour) bool { return v.Name == system })
	if i < 0 {
		return nil, fmt.Errorf("there is no system %q", system)
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	g := &group{}
	g.close = func() { stopAll(g.all) }
	start := func(args ...string) *process {
		if err != nil {
			return nil
		}
		var p *process
		if p, err = startProgram(n.program, system+" "+args[0], nil, nil, slices.Insert(args, 1, system, n.dir, address)...); err == nil {
			g.all = append(g.all, p)
		}
		return p
	}
	window := traffic.WindowFor(l.size)
	credit := traffic.CreditFor(window)
	if l.rate > 0 {
		credit = 0
	}
	if n.list[i].Broker {
		start("broker")
	}
	for range l.receivers {
		g.receivers = append(g.receivers, start("receive", strconv.Itoa(credit), l.skip.String(), strconv.Itoa(l.samples)))
	}
	g.sender = start("send", strconv.Itoa(l.size), strconv.Itoa(l.rate), strconv.Itoa(window), strconv.Itoa(l.receivers))
	if err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// resident is the memory of two processes that are connected and of what is
// between them, while next to nothing is sent.
type resident struct {
	System string `json:"system"`
	KiB    spread `json:"kib"`
}

func measureResidents(ctx context.Context, o options, systems []string, say func(string, ...any)) ([]resident, error) {
	var list []resident
	for _, system := range systems {
		say("memory of %s", system)
		kib, err := measureResident(ctx, o, system)
		if err != nil && (ctx.Err() != nil || !o.neighbours.has(system)) {
			return nil, fmt.Errorf("%s: %w", system, err)
		}
		if err != nil {
			say("left out: %v", err)
			continue
		}
		list = append(list, resident{system, spreadOf(kib)})
	}
	return list, nil
}

// measureResident starts a system several times, as the pages that a process has
// touched differ from start to start.
func measureResident(ctx context.Context, o options, system string) (kib []float64, err error) {
	for range min(o.rounds, 3) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		n, err := residentOnce(ctx, o, system)
		cancel()
		if err != nil {
			return nil, err
		}
		kib = append(kib, n)
	}
	return kib, nil
}

func residentOnce(ctx context.Context, o options, system string) (float64, error) {
	g, err := o.groupOf(ctx, system, load{size: latencySize, rate: 1, receivers: 1})
	if err != nil {
		return 0, err
	}
	defer g.close()
	if _, err := g.receivers[0].next(ctx, func(r traffic.Report) bool { return r.Received > 0 }); err != nil {
		return 0, err
	}
	if err := pause(ctx, min(o.settle, 2*time.Second)); err != nil {
		return 0, err
	}
	sum := int64(0)
	for _, p := range g.all {
		n, err := procField(p.pid(), "status", "VmRSS")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return float64(sum), nil
}
