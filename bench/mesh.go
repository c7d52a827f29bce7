package main

import (
	"context"
	"fmt"
	"time"

	"kozo/bench/internal/traffic"
)

// startTime is how long a person waits for the first message, in milliseconds.
type startTime struct {
	Sender spread `json:"sender_ms"` // the receiver runs already
	Both   spread `json:"both_ms"`   // both are started together
}

func measureStart(ctx context.Context, o options) (*startTime, error) {
	var sender, both []float64
	for range o.starts {
		ms, err := firstMessage(ctx, true)
		if err != nil {
			return nil, err
		}
		sender = append(sender, ms)
		if ms, err = firstMessage(ctx, false); err != nil {
			return nil, err
		}
		both = append(both, ms)
	}
	return &startTime{Sender: spreadOf(sender), Both: spreadOf(both)}, nil
}

// firstMessage returns the milliseconds from the start of the sending process to
// the moment at which the receiving role has its first message.
func firstMessage(ctx context.Context, ready bool) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	net, err := newNetwork([]string{"source", "target"}, "", map[string]string{
		"source": "      flood:\n        window: 1\n", "target": "      sink:\n",
	})
	if err != nil {
		return 0, err
	}
	defer net.close()
	receiver, err := net.start("target")
	if err != nil {
		return 0, err
	}
	if ready {
		if err := net.await(ctx, listening, 1); err != nil {
			return 0, err
		}
	}
	sender, err := net.start("source")
	if err != nil {
		return 0, err
	}
	r, err := receiver.next(ctx, func(r traffic.Report) bool { return r.First > 0 })
	if err != nil {
		return 0, err
	}
	from := sender.started
	if !ready {
		from = receiver.started
	}
	return float64(r.First-from.UnixNano()) / float64(time.Millisecond), nil
}

// memory is what idle nodes keep in memory, in KiB. What the pages of the program
// file take is shared by the nodes of one machine.
type memory struct {
	NodeKiB     float64 `json:"node_kib"`
	NodeAnonKiB float64 `json:"node_without_program_kib"`
	PeerKiB     float64 `json:"peer_kib"` // both links with one peer
	Peers       int     `json:"peers"`
}

// running is a network of which all links are up.
type running struct {
	*network
	seconds float64
	cpu     time.Duration
}

// newMesh is a network of nodes that all have the same roles, if any.
func newMesh(nodes int, roles string) (*network, error) {
	var names []string
	of := map[string]string{}
	for i := range nodes {
		name := fmt.Sprintf("n%02d", i)
		names = append(names, name)
		of[name] = roles
	}
	return newNetwork(names, "", of)
}

func startMesh(ctx context.Context, nodes int) (*running, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	net, err := newMesh(nodes, "")
	if err != nil {
		return nil, err
	}
	r, err := func() (*running, error) {
		begin := time.Now()
		for _, name := range net.nodes {
			if _, err := net.start(name); err != nil {
				return nil, err
			}
		}
		if err := net.await(ctx, linkUp, nodes*(nodes-1)); err != nil {
			return nil, err
		}
		seconds := time.Since(begin).Seconds()
		cpu, err := usage(net.all)
		return &running{network: net, seconds: seconds, cpu: cpu}, err
	}()
	if err != nil {
		net.close()
		return nil, err
	}
	return r, nil
}

// resident returns the means of all processes, with and without the program file.
func (r *running) resident() (all, anon float64, err error) {
	for _, p := range r.all {
		a, err := procField(p.pid(), "status", "VmRSS")
		if err != nil {
			return 0, 0, err
		}
		b, err := procField(p.pid(), "status", "RssAnon")
		if err != nil {
			return 0, 0, err
		}
		all, anon = all+float64(a), anon+float64(b)
	}
	n := float64(len(r.all))
	return all / n, anon / n, nil
}

// measureMemory measures a node alone, and how much more the nodes of a mesh
// have.
func measureMemory(ctx context.Context, o options) (*memory, error) {
	peers := o.neighbourhood - 1
	all, anon, err := residentOf(ctx, o, 1)
	if err != nil {
		return nil, err
	}
	_, more, err := residentOf(ctx, o, peers+1)
	if err != nil {
		return nil, err
	}
	return &memory{NodeKiB: all, NodeAnonKiB: anon, PeerKiB: (more - anon) / float64(peers), Peers: peers}, nil
}

func residentOf(ctx context.Context, o options, nodes int) (all, anon float64, err error) {
	r, err := startMesh(ctx, nodes)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	if err := pause(ctx, o.settle); err != nil {
		return 0, 0, err
	}
	return r.resident()
}

// idle is what nodes do when there is nothing to do.
type idle struct {
	Nodes      int     `json:"nodes"`
	Seconds    float64 `json:"seconds"`
	CPUPercent spread  `json:"cpu_percent"` // of a core, over the nodes
	WriteBytes int64   `json:"disk_write_bytes"`
	WireBytes  float64 `json:"wire_bytes_per_link_minute,omitzero"` // headers included; 0 is unknown
	NodeKiB    float64 `json:"node_kib"`                            // resident
}

const idleNodes = 3

func measureIdle(ctx context.Context, o options) (*idle, error) {
	r, err := startMesh(ctx, idleNodes)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := pause(ctx, o.settle); err != nil {
		return nil, err
	}
	cpu, written, err := r.account()
	if err != nil {
		return nil, err
	}
	begin, wire := time.Now(), wireBytes()
	if err := pause(ctx, o.idle); err != nil {
		return nil, err
	}
	cpu2, written2, err := r.account()
	if err != nil {
		return nil, err
	}
	result := &idle{Nodes: idleNodes, Seconds: time.Since(begin).Seconds(), WriteBytes: written2 - written}
	result.WireBytes = float64(wireBytes()-wire) / float64(idleNodes*(idleNodes-1)) / result.Seconds * 60
	var percent []float64
	for i := range cpu {
		percent = append(percent, 100*(cpu2[i]-cpu[i]).Seconds()/result.Seconds)
	}
	result.CPUPercent = spreadOf(percent)
	result.NodeKiB, _, err = r.resident()
	return result, err
}

// account returns the CPU time of each process, and what all have sent to the
// disk.
func (r *running) account() (cpu []time.Duration, written int64, err error) {
	for _, p := range r.all {
		t, err := cpuTime(p.pid())
		if err != nil {
			return nil, 0, err
		}
		w, err := procField(p.pid(), "io", "write_bytes")
		if err != nil {
			return nil, 0, err
		}
		cpu, written = append(cpu, t), written+w
	}
	return cpu, written, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
