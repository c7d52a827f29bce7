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
	NodeKiB     float64 `json:"node_kib"` // alone
	NodeAnonKiB float64 `json:"node_without_program_kib"`

	// What both links with one more peer need is taken from a mesh of a few nodes
	// and one with more of them. The floor is a bare connection instead of each.
	PeerKiB      float64 `json:"peer_kib"`
	FloorPeerKiB float64 `json:"floor_peer_kib"`
	Peers        int     `json:"peers"` // more in the larger mesh
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

func startMesh(ctx context.Context, o options, nodes int) (*running, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	net, err := newMesh(nodes, "")
	if err != nil {
		return nil, err
	}
	net.kozo = o.kozo
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

// measureMemory measures a node alone, and how much more the nodes of a mesh have
// than those of a smaller one. Both have connections, for the first one brings
// what is there once: the tables of the cryptography, and what the runtime needs
// to collect garbage.
func measureMemory(ctx context.Context, o options) (*memory, error) {
	m := &memory{Peers: o.neighbourhood - idleNodes}
	var err error
	if m.NodeKiB, m.NodeAnonKiB, err = residentOf(ctx, o, 1); err != nil {
		return nil, err
	}
	more := func(of func(context.Context, options, int) (all, anon float64, err error)) (float64, error) {
		_, few, err := of(ctx, o, idleNodes)
		if err != nil {
			return 0, err
		}
		_, many, err := of(ctx, o, o.neighbourhood)
		return (many - few) / float64(m.Peers), err
	}
	if m.PeerKiB, err = more(residentOf); err != nil {
		return nil, err
	}
	m.FloorPeerKiB, err = more(bareResident)
	return m, err
}

func residentOf(ctx context.Context, o options, nodes int) (all, anon float64, err error) {
	r, err := startMesh(ctx, o, nodes)
	if err != nil {
		return 0, 0, err
	}
	return r.settled(ctx, o)
}

func bareResident(ctx context.Context, o options, nodes int) (all, anon float64, err error) {
	r, err := startBare(ctx, nodes, false)
	if err != nil {
		return 0, 0, err
	}
	return r.settled(ctx, o)
}

// settled is the resident memory of a network that has come to rest, which is
// closed then.
func (r *running) settled(ctx context.Context, o options) (all, anon float64, err error) {
	defer r.close()
	if err := pause(ctx, o.settle); err != nil {
		return 0, 0, err
	}
	return r.resident()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
