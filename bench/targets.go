package main

import (
	"fmt"
	"strings"
)

// target is a figure that Kōzō ought to reach.
type target struct {
	figure, want, have string
	reached            bool
}

// startMost is the bound of a start in milliseconds. It is meant above the bare
// handshake; the measured time has the handshake in it.
const startMost = 60

// targets compares the results with what they ought to be. What was not measured
// is left out.
func (r *results) targets() []target {
	var list []target
	ratio := func(figure, name, system string, size, receivers int, want float64, atLeast bool, of string) {
		v := r.ratio(name, system, size, receivers)
		if v.Median > 0 {
			list = append(list, target{figure, fmt.Sprintf("%v × %s", want, of), v.text(2) + " ×", (v.Median >= want) == atLeast || v.Median == want})
		}
	}
	most := func(ok bool, figure string, want float64, unit string, have float64, text string) {
		if ok {
			list = append(list, target{figure, strings.TrimSpace(number(want, 0) + " " + unit), text, have <= want})
		}
	}
	ratio("delivered messages/s, 256 B", figureRate, "nats", 256, 1, 8, true, "NATS")
	ratio("", figureRate, "zeromq", 256, 1, 2, true, "ZeroMQ")
	ratio("", figureRate, "ssh", 256, 1, 0.6, true, "the floor")
	ratio("CPU a message, 256 B", figureCPU, "nats", 256, 1, 0.125, false, "NATS")
	ratio("", figureCPU, "ssh", 256, 1, 1.6, false, "the floor")
	ratio("one to ten, delivered messages/s", figureRate, "nats", 256, 10, 5, true, "NATS")
	ratio("", figureRate, "zeromq", 256, 10, 2.5, true, "ZeroMQ")
	ratio("64 KiB messages, MB/s", figureRate, "ssh", 64<<10, 1, 0.9, true, "the floor")
	ratio("latency at 1,000/s, p50", figureP50, "ssh", 256, 1, 1.5, false, "bare SSH")
	ratio("latency p99", figureP99, "nats", 256, 1, 1, false, "NATS")
	over := find(r.Throughput, kozoSystem, fanoutSize).Overhead
	most(over.Median > 0, "bytes on the wire a message, above its content", 40, "", over.Median, over.text(0))
	if v := r.Idle; v != nil {
		most(v.WireBytes > 0, "idle link, bytes a minute", 2500, "", v.WireBytes, number(v.WireBytes, 0))
		cpu := v.linkCPU(v.CPUPercent)
		spent := number(cpu, 1) + " ms"
		if v.Ratio > 0 {
			spent += fmt.Sprintf("; a bare one that sends as much %s, a ratio of %s", number(v.linkCPU(v.BareCPU), 1), number(v.Ratio, 2))
		}
		most(true, "idle link, CPU a minute, both ends", 2, "ms", cpu, spent)
		most(true, "idle, written to disk", 0, "", float64(v.WriteBytes), fmt.Sprintf("%d bytes", v.WriteBytes))
		text := number(v.NodeKiB/1024, 1) + " MiB"
		if v.NodeAnonKiB > 0 {
			text += ", " + number(v.NodeAnonKiB/1024, 1) + " of them not the program file"
		}
		most(v.NodeKiB > 0, "resident memory, node with 2 peers", 14, "MiB", v.NodeKiB/1024, text)
	}
	if v := r.Memory; v != nil {
		conn := v.PeerKiB / 2 // each peer has two connections
		text := number(conn, 0) + " KiB"
		if v.FloorPeerKiB > 0 {
			text += "; a bare one " + number(v.FloorPeerKiB/2, 0)
		}
		most(true, "memory of one more idle connection, each side", 110, "KiB", conn, text)
	}
	if v := r.Start; v != nil {
		most(true, "start to first message delivered, the peer is up, handshake included", startMost, "ms", v.Sender.Median, v.Sender.text(0)+" ms")
	}
	for _, v := range r.Mesh {
		how := "in one process"
		if v.Processes > 1 {
			how = "a process each"
		}
		list = append(list, target{fmt.Sprintf("CPU until a full mesh of %d is up, %s", v.Nodes, how), "1.5 × bare handshakes", v.Ratio.text(2) + " ×", v.Ratio.Median <= 1.5})
	}
	if v := r.Overload; v != nil {
		list = append(list, target{"latency p99 of another link while one is overloaded", "2 × that without", v.P99Ratios.text(2) + " ×", v.P99Ratios.Median <= 2})
	}
	return list
}

// linkCPU is the CPU time of both ends of an idle link in milliseconds a minute,
// as if nodes that use so much did nothing else.
func (v *idle) linkCPU(percent spread) float64 {
	return percent.Median / 100 * 60_000 / float64(v.Nodes-1)
}

func (r *results) tableTargets() string {
	var b strings.Builder
	b.WriteString("| figure | target | measured | |\n|---|---|---|---|\n")
	for _, v := range r.targets() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.figure, v.want, v.have, map[bool]string{true: "reached", false: "**missed**"}[v.reached])
	}
	return b.String()
}

func (r *results) tableGrowth() string {
	if len(r.Mesh) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| nodes | links | until all are up | bare | CPU | bare | by bare | MiB a node | bare | idle, ms of CPU a node and minute | a node started again | lost |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, v := range r.Mesh {
		how := ", in one process"
		if v.Processes > 1 {
			how = ", a process each"
		}
		fmt.Fprintf(&b, "| %d%s | %s | %.2f s | %.2f s | %.2f s | %.2f s | %s × | %.1f | %.1f | %.1f |", v.Nodes, how, number(float64(v.Links), 0),
			v.Seconds.Median, v.FloorSeconds.Median, v.CPU.Median, v.FloorCPU.Median, v.Ratio.text(2), v.NodeKiB/1024, v.FloorNodeKiB/1024, v.SteadyCPU)
		switch {
		case v.Restart == nil:
			b.WriteString(" | |\n")
		case v.Restart.Losses == nil:
			fmt.Fprintf(&b, " %s s | |\n", v.Restart.Whole.text(2))
		default:
			l := v.Restart.Losses
			fmt.Fprintf(&b, " %s s | %s of %s, %s counted |\n", v.Restart.Whole.text(2), number(float64(l.lost()), 0), number(float64(l.Sent), 0), number(float64(l.Counted), 0))
		}
	}
	return b.String()
}

func (r *results) tableCurves() string {
	if len(r.Curves) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| the receiving node has | | messages/s | CPU-s a million |\n|---|---:|---:|---:|\n")
	for _, v := range r.Curves {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.Of, number(float64(v.Count), 0), number(v.PerSecond.Median, 0), v.CPU.text(2))
	}
	return b.String()
}

func (r *results) tableOverload() string {
	v := r.Overload
	if v == nil {
		return ""
	}
	var b strings.Builder
	row := func(what, format string, values ...any) { fmt.Fprintf(&b, "| "+what+" | "+format+" |\n", values...) }
	fmt.Fprintf(&b, "| | |\n|---|---|\n")
	row("offered", "%s messages a second of 256 bytes for %.0f s, to a line that carries %s MB/s", number(float64(v.Rate), 0), v.Seconds, number(float64(v.Line)/1e6, 1))
	row("sent = delivered + dropped", "%s = %s + %s", number(float64(v.Sent), 0), number(float64(v.Delivered), 0), number(float64(v.Dropped), 0))
	row("counted at the receiver", "%s", number(float64(v.Received), 0))
	row("the very last message arrived", "%s", map[bool]string{true: "yes, in every round", false: "**no**"}[v.Newest])
	row("age of what arrives, median and most", "%.0f ms, %.0f ms", v.AgeP50, v.AgeMax)
	row("memory of the sender above that without overload", "%.1f MiB, with a queue of %.1f MiB", v.GrownKiB/1024, v.QueueKiB/1024)
	row("latency of another link at 1,000/s, p50 / p99", "%.0f / %.0f µs; without overload %.0f / %.0f µs", v.P50.Median, v.P99.Median, v.QuietP50.Median, v.QuietP99.Median)
	row("its p99 by that without overload", "%s", v.P99Ratios.text(2))
	return b.String()
}
