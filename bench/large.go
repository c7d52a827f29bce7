package main

import (
	"fmt"
	"strings"
)

// units are what a full mesh is made of, as far as it was measured.
type units struct {
	handshake float64 // ms of CPU of a link that comes up, both ends together
	conn      float64 // KiB of a connection, one end
	bytes     float64 // a minute and link
	idle      float64 // ms of CPU a minute and link, both ends together
	alone     float64 // KiB of a node without peers, the program file left out
}

// units takes the largest mesh of processes for what grows with it: a node has a
// computer of its own, and wakes up by itself. In one process it would cost half.
func (r *results) units() (u units, ok bool) {
	var large mesh
	for _, v := range r.Mesh {
		if v.Processes > 1 && v.Nodes >= large.Nodes {
			large = v
		}
	}
	if large.Nodes == 0 || r.Memory == nil || r.Idle == nil {
		return u, false
	}
	return units{
		handshake: large.CPU.Median * 1000 / float64(large.Links),
		conn:      r.Memory.PeerKiB / 2, // a connection a link, and two links a peer
		bytes:     r.Idle.WireBytes,
		idle:      large.SteadyCPU / float64(large.Nodes-1),
		alone:     r.Memory.NodeAnonKiB,
	}, true
}

func (r *results) tableUnits() string {
	u, ok := r.units()
	if !ok {
		return ""
	}
	return fmt.Sprintf(`| what | measured here |
|---|---:|
| a link that comes up, CPU of both ends | %.1f ms |
| memory of a connection, at each end | %.0f KiB |
| an idle link on the wire, headers included, heartbeat 10 s | %s bytes a minute |
| an idle link, CPU of both ends | %.2f ms a minute |
| a node without peers, the program file left out | %.1f MiB |
`, u.handshake, u.conn, number(u.bytes, 0), u.idle, u.alone/1024)
}

// computers are those for which a mesh is reckoned up. Times is how many times as
// long as here one core of it takes for the same, cores how many it has: an
// estimate, and RAM is MiB.
var computers = [...]struct {
	name  string
	times float64
	cores float64
	ram   float64
}{
	{"this machine", 1, 2, 0},
	{"Raspberry Pi 4", 4, 4, 4096},
	{"Raspberry Pi 3", 8, 4, 1024},
	{"Raspberry Pi Zero", 45, 1, 512},
}

func (r *results) tableLarge() string {
	u, ok := r.units()
	if !ok {
		return ""
	}
	var b strings.Builder
	b.WriteString("| nodes | links of all | a node holds | its memory | its idle traffic | idle CPU | a node comes up, CPU |\n|---:|---:|---:|---:|---:|---:|---|\n")
	for _, nodes := range []float64{20, 100, 1000, 10000} {
		peers := nodes - 1
		fmt.Fprintf(&b, "| %s | %s | %s connections | %s | %s kB a minute | %s %% of a core | %s |\n", number(nodes, 0), number(nodes*peers, 0), number(2*peers, 0),
			memoryText((u.alone+2*peers*u.conn)/1024), number(2*peers*u.bytes/1000, 0), rounded(peers*u.idle/60_000*100), durationText(peers*u.handshake/1000))
	}
	b.WriteString("\n| with a full mesh of | ")
	for _, c := range computers {
		fmt.Fprintf(&b, "%s | ", c.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(computers)) + "\n")
	for _, nodes := range []float64{20, 100, 1000, 10000} {
		peers := nodes - 1
		fmt.Fprintf(&b, "| %s nodes: up again after a power cut | ", number(nodes, 0))
		for _, c := range computers {
			// After a power cut of all, each has half of the work of each link.
			fmt.Fprintf(&b, "%s | ", durationText(peers*u.handshake*c.times/c.cores/1000))
		}
		b.WriteString("\n| idle CPU of a core | ")
		for _, c := range computers {
			fmt.Fprintf(&b, "%s %% | ", rounded(peers*u.idle/60_000*100*c.times))
		}
		b.WriteString("\n| memory | ")
		for _, c := range computers {
			need := (u.alone + 2*peers*u.conn) / 1024
			text := memoryText(need)
			if c.ram > 0 {
				text += fmt.Sprintf(" of %s MiB", number(c.ram, 0))
				if need > c.ram/2 {
					text = "**" + text + "**"
				}
			}
			fmt.Fprintf(&b, "%s | ", text)
		}
		b.WriteString("\n")
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

func memoryText(mib float64) string {
	if mib >= 1024 {
		return rounded(mib/1024) + " GiB"
	}
	return rounded(mib) + " MiB"
}

func durationText(s float64) string {
	switch {
	case s >= 2*3600:
		return rounded(s/3600) + " h"
	case s >= 120:
		return rounded(s/60) + " min"
	}
	return rounded(s) + " s"
}
