package main

import (
	"context"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"kozo/internal/wire"
)

// idle is what nodes do when there is nothing to do.
type idle struct {
	Nodes      int     `json:"nodes"`
	Seconds    float64 `json:"seconds"`
	CPUPercent spread  `json:"cpu_percent"` // of a core, over the nodes
	WriteBytes int64   `json:"disk_write_bytes"`
	WireBytes  float64 `json:"wire_bytes_per_link_minute,omitzero"` // headers included; 0 is unknown
	NodeKiB    float64 `json:"node_kib"`                            // resident

	NodeAnonKiB float64 `json:"node_without_program_kib"`

	// What an idle node costs is how often it wakes up, and what that costs is the
	// machine's affair. So beside the nodes, in the same minutes, as many bare
	// processes send each other as many bytes as often, over bare SSH connections.
	Wakeups     float64 `json:"wakeups_per_node_minute"` // of all threads
	BareCPU     spread  `json:"bare_cpu_percent"`
	BareWakeups float64 `json:"bare_wakeups_per_node_minute"`
	Ratio       float64 `json:"cpu_by_bare"`
}

const (
	idleNodes = 3

	// A Go program collects garbage every two minutes if it has not otherwise: in
	// so many times the idleness that is asked for there is one of these.
	idleTimes = 2
)

// measureIdle counts bytes while nobody else sends any, and then CPU time with
// the bare processes beside the nodes.
func measureIdle(ctx context.Context, o options) (*idle, error) {
	nodes, err := startMesh(ctx, o, idleNodes)
	if err != nil {
		return nil, err
	}
	defer nodes.close()
	if err := pause(ctx, o.settle); err != nil {
		return nil, err
	}
	begin, wire := time.Now(), wireBytes()
	if err := pause(ctx, o.idle); err != nil {
		return nil, err
	}
	links := float64(idleNodes * (idleNodes - 1))
	result := &idle{Nodes: idleNodes, WireBytes: float64(wireBytes()-wire) / links / time.Since(begin).Minutes()}

	bare, err := startBare(ctx, idleNodes, true)
	if err != nil {
		return nil, err
	}
	defer bare.close()
	if err := pause(ctx, o.settle); err != nil {
		return nil, err
	}
	before, err := accounts(nodes, bare)
	if err != nil {
		return nil, err
	}
	begin = time.Now()
	if err := pause(ctx, idleTimes*o.idle); err != nil {
		return nil, err
	}
	after, err := accounts(nodes, bare)
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	result.Seconds = took.Seconds()
	of := func(i int) (cpu spread, wakeups float64) {
		var percent []float64
		for k, v := range after[i].cpu {
			percent = append(percent, 100*(v-before[i].cpu[k]).Seconds()/took.Seconds())
		}
		return spreadOf(percent), float64(after[i].wakeups-before[i].wakeups) / idleNodes / took.Minutes()
	}
	result.CPUPercent, result.Wakeups = of(0)
	result.BareCPU, result.BareWakeups = of(1)
	if cpu := after[1].sum() - before[1].sum(); cpu > 0 {
		result.Ratio = float64(after[0].sum()-before[0].sum()) / float64(cpu)
	}
	result.WriteBytes = after[0].written - before[0].written
	result.NodeKiB, result.NodeAnonKiB, err = nodes.resident()
	return result, err
}

// account is what the processes of a network have used so far.
type account struct {
	cpu     []time.Duration // of each
	written int64           // to the disk
	wakeups int64
}

func (a *account) sum() (all time.Duration) {
	for _, t := range a.cpu {
		all += t
	}
	return all
}

func accounts(networks ...*running) ([]account, error) {
	list := make([]account, len(networks))
	for i, r := range networks {
		for _, p := range r.all {
			cpu, err := cpuTime(p.pid())
			if err != nil {
				return nil, err
			}
			written, err := procField(p.pid(), "io", "write_bytes")
			if err != nil {
				return nil, err
			}
			woken, err := wakeups(p.pid())
			if err != nil {
				return nil, err
			}
			a := &list[i]
			a.cpu, a.written, a.wakeups = append(a.cpu, cpu), a.written+written, a.wakeups+woken
		}
	}
	return list, nil
}

// heartbeat is how often nodes that are not told otherwise ask each other for a
// sign of life.
const heartbeat = 10 * time.Second

// The bytes that a bare process sends are those of a ping, and of the answer.
func bareAsk() []byte    { return wire.AppendPing(nil, wire.Ping{ID: 1, Wall: 1 << 60}) }
func bareAnswer() []byte { return wire.AppendPong(nil, wire.Pong{ID: 1, Wall: 1 << 60}) }

// answer sends something back over the channels of a connection.
func (b *bareMesh) answer(channels <-chan ssh.NewChannel) {
	for c := range channels {
		if !b.beats {
			_ = c.Reject(ssh.Prohibited, "")
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			continue
		}
		go ssh.DiscardRequests(requests)
		b.conns.Go(func() {
			ask, answer := bareAsk(), bareAnswer()
			for {
				if _, err := io.ReadFull(channel, ask); err != nil {
					return
				}
				if _, err := channel.Write(answer); err != nil {
					return
				}
			}
		})
	}
}

// open opens a channel to be asked on.
func (b *bareMesh) open(c ssh.Conn) error {
	channel, requests, err := c.OpenChannel("beat", nil)
	if err != nil {
		return err
	}
	go ssh.DiscardRequests(requests)
	b.conns.Go(func() { _, _ = io.Copy(io.Discard, channel) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams = append(b.streams, channel)
	return nil
}

// beat asks on all connections that this process has made, at the same moment.
func (b *bareMesh) beat(ctx context.Context) error {
	ask := bareAsk()
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		for _, s := range b.streams {
			if _, err := s.Write(ask); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
