package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// mesh is what a network costs in which every node has a link to every other one:
// from the moment at which all start until all links are up, beside the floor;
// then when nothing is sent; then while one after the other is started again.
type mesh struct {
	Nodes     int    `json:"nodes"`
	Links     int    `json:"links"`
	Processes int    `json:"processes"`
	Seconds   spread `json:"seconds"`
	CPU       spread `json:"cpu_seconds"`

	// The floor is the same number of bare SSH connections between as many
	// processes.
	FloorSeconds spread `json:"floor_seconds"`
	FloorCPU     spread `json:"floor_cpu_seconds"`
	Ratio        spread `json:"cpu_by_floor"` // round by round

	NodeKiB      float64  `json:"node_kib"` // resident, of all processes, by nodes
	FloorNodeKiB float64  `json:"floor_node_kib"`
	SteadyCPU    float64  `json:"node_cpu_ms_per_minute"` // when nothing is sent
	Restart      *restart `json:"restart,omitempty"`
}

// restart is a rolling restart: every node is stopped and started again, one
// after the other, while all send each other a message a second.
type restart struct {
	Whole  spread  `json:"seconds"` // from stopping a node until it and all links to it are up again
	CPU    float64 `json:"cpu_seconds"`
	Losses *losses `json:"losses,omitempty"` // of nodes in one process
}

// meshSize is a network to measure.
type meshSize struct {
	nodes  int
	apart  bool // a process a node
	rounds int  // no more than that
}

// sample of one round of one network.
type meshSample struct {
	seconds, cpu, floorSeconds, floorCPU float64
	nodeKiB, floorKiB, steady            float64
	restart                              *restart
}

// measureMeshes measures networks of several sizes, and the floor of each, in
// another order in every round. The last round is the one that goes on to
// idleness and to the restart.
func measureMeshes(ctx context.Context, o options, say func(string, ...any)) ([]mesh, error) {
	samples := make([][]meshSample, len(o.networks))
	for round := range o.rounds {
		for _, i := range rand.Perm(len(o.networks)) {
			size := o.networks[i]
			rounds := min(o.rounds, size.rounds)
			if round >= rounds {
				continue
			}
			s, err := measureMesh(ctx, o, size, round == rounds-1, func(what string) {
				say("round %d: %s of %d nodes%s", round+1, what, size.nodes, map[bool]string{true: ", a process each"}[size.apart])
			})
			if err != nil {
				return nil, fmt.Errorf("%d nodes: %w", size.nodes, err)
			}
			samples[i] = append(samples[i], s)
		}
	}
	var meshes []mesh
	for i, size := range o.networks {
		meshes = append(meshes, meshOf(size, samples[i]))
	}
	return meshes, nil
}

// meshOf sums the rounds of one network up; the last one has what is measured
// once.
func meshOf(size meshSize, rounds []meshSample) mesh {
	m := mesh{Nodes: size.nodes, Links: size.nodes * (size.nodes - 1), Processes: 1}
	if size.apart {
		m.Processes = size.nodes
	}
	of := func(figure func(meshSample) float64) spread {
		var values []float64
		for _, s := range rounds {
			values = append(values, figure(s))
		}
		return spreadOf(values)
	}
	m.Seconds = of(func(s meshSample) float64 { return s.seconds })
	m.CPU = of(func(s meshSample) float64 { return s.cpu })
	m.FloorSeconds = of(func(s meshSample) float64 { return s.floorSeconds })
	m.FloorCPU = of(func(s meshSample) float64 { return s.floorCPU })
	m.Ratio = of(func(s meshSample) float64 { return s.cpu / s.floorCPU })
	last := rounds[len(rounds)-1]
	m.NodeKiB, m.FloorNodeKiB, m.SteadyCPU, m.Restart = last.nodeKiB, last.floorKiB, last.steady*60_000, last.restart
	return m
}

func measureMesh(ctx context.Context, o options, size meshSize, whole bool, say func(string)) (s meshSample, err error) {
	kozo := func() error {
		say("mesh")
		if size.apart {
			return s.apart(ctx, o, size.nodes, whole)
		}
		return s.together(ctx, o, size.nodes, whole)
	}
	floor := func() error {
		say("bare handshakes")
		return s.floor(ctx, size)
	}
	first, second := kozo, floor
	if rand.N(2) == 0 {
		first, second = floor, kozo
	}
	if err := first(); err != nil {
		return s, err
	}
	return s, second()
}

// rollPatience is how long a rolling restart of a network may take.
const rollPatience = 5 * time.Minute

// apart measures a network with a process for each node.
func (s *meshSample) apart(ctx context.Context, o options, nodes int, whole bool) error {
	r, err := startMesh(ctx, o, nodes)
	if err != nil {
		return err
	}
	defer r.close()
	s.seconds, s.cpu = r.seconds, r.cpu.Seconds()
	if !whole {
		return nil
	}
	if err := pause(ctx, o.settle); err != nil {
		return err
	}
	before, err := usage(r.all)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := pause(ctx, o.rest); err != nil {
		return err
	}
	after, err := usage(r.all)
	if err != nil {
		return err
	}
	s.steady = (after - before).Seconds() / time.Since(begin).Seconds() / float64(nodes)
	if s.nodeKiB, _, err = r.resident(); err != nil {
		return err
	}
	s.restart, err = r.roll(ctx)
	return err
}

// roll starts every node again, one after the other.
func (r *running) roll(ctx context.Context) (*restart, error) {
	ctx, cancel := context.WithTimeout(ctx, rollPatience)
	defer cancel()
	before, err := usage(r.all)
	if err != nil {
		return nil, err
	}
	var spent time.Duration // by those that have ended
	var whole []float64
	for i, name := range r.nodes {
		begin := time.Now()
		ups := r.heard(linkUp)
		old := r.all[i]
		stopAll([]*process{old})
		spent += old.cmd.ProcessState.UserTime() + old.cmd.ProcessState.SystemTime()
		if _, err := r.start(name); err != nil {
			return nil, err
		}
		r.all[i] = r.all[len(r.all)-1]
		r.all = r.all[:len(r.all)-1]
		if err := r.await(ctx, linkUp, ups+2*(len(r.nodes)-1)); err != nil {
			return nil, err
		}
		whole = append(whole, time.Since(begin).Seconds())
	}
	after, err := usage(r.all)
	return &restart{Whole: spreadOf(whole), CPU: (after + spent - before).Seconds()}, err
}

// together measures a network in one process.
func (s *meshSample) together(ctx context.Context, o options, nodes int, whole bool) error {
	net, err := newMesh(nodes, "      "+pulseType+":\n")
	if err != nil {
		return err
	}
	defer net.close()
	rest := "0"
	if whole {
		rest = fmt.Sprint(o.rest.Seconds())
	}
	var r hiveReport
	err = report(ctx, net, &r, func(line func(string)) (*process, error) {
		return start("hive", nil, line, "hive", net.config(), fmt.Sprint(o.settle.Seconds()), rest, strconv.FormatBool(whole))
	})
	if err != nil {
		return err
	}
	n := float64(nodes)
	s.seconds, s.cpu = r.Seconds, r.CPU
	if whole {
		s.steady, s.nodeKiB = r.Steady/n, float64(r.Resident)/n
		s.restart = &restart{Whole: spreadOf(r.Restarts), CPU: r.Restarted, Losses: &r.Losses}
	}
	return nil
}

// report runs a process until it prints one JSON object, which is what it has
// measured of itself.
func report(ctx context.Context, net *network, into any, run func(line func(string)) (*process, error)) error {
	ctx, cancel := context.WithTimeout(ctx, rollPatience)
	defer cancel()
	lines := make(chan string, 1)
	p, err := run(func(line string) {
		if line != "" && line[0] == '{' {
			select {
			case lines <- line:
			default:
			}
		}
	})
	if err != nil {
		return err
	}
	net.all = append(net.all, p)
	select {
	case line := <-lines:
		return json.Unmarshal([]byte(line), into)
	case <-p.done:
		select {
		case line := <-lines:
			return json.Unmarshal([]byte(line), into)
		default:
			return p.failed("it ended")
		}
	case <-ctx.Done():
		return p.failed("it has not reported in time")
	}
}

// floor measures bare handshakes.
func (s *meshSample) floor(ctx context.Context, size meshSize) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if size.apart {
		r, err := startBare(ctx, size.nodes, false)
		if err != nil {
			return err
		}
		defer r.close()
		s.floorSeconds, s.floorCPU = r.seconds, r.cpu.Seconds()
		s.floorKiB, _, err = r.resident()
		return err
	}
	b, err := newBare(size.nodes, false)
	if err != nil {
		return err
	}
	defer b.close()
	var r bareReport
	err = report(ctx, b.network, &r, func(line func(string)) (*process, error) { return b.run(0, size.nodes, line) })
	s.floorSeconds, s.floorCPU, s.floorKiB = r.Seconds, r.CPU, float64(r.Resident)/float64(size.nodes)
	return err
}
