package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The documents in which tables come from the recorded results, and the pictures
// beside these.
var (
	documents = [...]string{"README.md", "docs/performance.md", "docs/scaling.md", "docs/transports/bluetooth.md", "docs/transports/onion.md"}
	pictures  = map[string]func(*results) []byte{
		"bench/results.svg": (*results).svg,
		"bench/growth.svg":  (*results).growthSVG,
	}
)

// A table in a document stands between two lines: one that names it, and one that
// ends it.
const (
	blockBegin = "<!-- from bench/results.json: "
	blockEnd   = "<!-- end -->"
)

// writeDocs writes the results of a file into the documents and the pictures of
// the repository in a directory.
func writeDocs(root, file string) error {
	r, err := loadResults(file)
	if err != nil {
		return err
	}
	made, err := r.documents(root)
	if err != nil {
		return err
	}
	for name, text := range made {
		if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// documents returns what the documents and pictures should be, by name.
func (r *results) documents(root string) (map[string][]byte, error) {
	made := map[string][]byte{}
	for name, draw := range pictures {
		made[name] = draw(r)
	}
	for _, name := range documents {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		if made[name], err = r.fill(text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return made, nil
}

// fill replaces the tables of a document.
func (r *results) fill(text []byte) ([]byte, error) {
	var b bytes.Buffer
	for {
		before, rest, found := bytes.Cut(text, []byte(blockBegin))
		b.Write(before)
		if !found {
			return b.Bytes(), nil
		}
		name, rest, ok := bytes.Cut(rest, []byte(" -->\n"))
		_, after, ended := bytes.Cut(rest, []byte(blockEnd))
		if !ok || !ended {
			return nil, fmt.Errorf("a table of the bench does not end with %q", blockEnd)
		}
		make, known := tables[string(name)]
		if !known {
			return nil, fmt.Errorf("the bench has no table %q", name)
		}
		fmt.Fprintf(&b, "%s%s -->\n%s%s", blockBegin, name, make(r), blockEnd)
		text = after
	}
}

// tables are what documents can show.
var tables = map[string]func(*results) string{
	"machine":        (*results).machineText,
	"256 bytes":      (*results).table256,
	"other sizes":    (*results).tableSizes,
	"targets":        (*results).tableTargets,
	"growth":         (*results).tableGrowth,
	"curves":         (*results).tableCurves,
	"overload":       (*results).tableOverload,
	"costs":          (*results).tableCosts,
	"unit costs":     (*results).tableUnits,
	"full mesh":      (*results).tableLarge,
	"over Tor":       (*results).tableOnion,
	"over Bluetooth": (*results).tableBluetooth,
}

// number writes a number as people read it: with commas, and as many digits after
// the point as said.
func number(v float64, digits int) string {
	s := fmt.Sprintf("%.*f", digits, v)
	whole, rest, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest == "" {
		return whole
	}
	return whole + "." + rest
}

// rounded writes a number with two digits that are not zero, which is as much as
// such figures are worth.
func rounded(v float64) string {
	unit := 1.0
	for v/unit >= 100 {
		unit *= 10
	}
	switch {
	case v >= 10:
		return number(float64(int(v/unit+0.5))*unit, 0)
	case v >= 1:
		return number(v, 1)
	}
	return number(v, 2)
}

func (r *results) machineText() string {
	m := r.Machine
	return fmt.Sprintf("Measured on %s: %s, %d cores that others were using as well, Linux %s, %s, TCP with %s.\n",
		r.when(), m.CPU, m.Cores, m.Kernel, m.Go, m.Congestion)
}

// titles are what systems are called in documents.
var titles = map[string]string{
	kozoSystem: "**kozo**", "zeromq": "ZeroMQ", "nats": "NATS",
	"mosquitto": "Mosquitto, a client that coalesces", "mosquitto-paho": "Mosquitto, paho",
}

func nameOf(system string) string {
	if name, ok := titles[system]; ok {
		return name
	}
	return label(system)
}

// cell is a figure of a table, or nothing if it was not measured.
func cell(v float64, digits int) string {
	if v == 0 {
		return ""
	}
	return number(v, digits)
}

func find(list []throughput, system string, size int) throughput {
	for _, v := range list {
		if v.System == system && v.Size == size {
			return v
		}
	}
	return throughput{}
}

func (r *results) table256() string {
	var b strings.Builder
	b.WriteString("| | messages/s | CPU-s a million | bytes above | messages/s to ten | p50 / p99 in µs at 1,000/s | MiB |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, v := range r.Throughput {
		if v.Size != fanoutSize {
			continue
		}
		times := ""
		for _, l := range r.Latency {
			if l.System == v.System {
				times = fmt.Sprintf("%.0f / %.0f", l.P50.Median, l.P99.Median)
			}
		}
		mib := 0.0
		for _, m := range r.Resident {
			if m.System == v.System {
				mib = m.KiB.Median / 1024
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", nameOf(v.System), cell(v.PerSecond.Median, 0), cell(v.CPU.Median, 2),
			cell(v.Overhead.Median, 0), cell(find(r.Fanout, v.System, fanoutSize).PerSecond.Median, 0), times, cell(mib, 0))
	}
	return b.String()
}

func (r *results) tableSizes() string {
	var b strings.Builder
	sizes := []int{64, 256, 4 << 10, 64 << 10}
	b.WriteString("| messages/s | 64 B | 256 B | 4 KiB | 64 KiB | MB/s with 64 KiB |\n|---|---:|---:|---:|---:|---:|\n")
	for _, v := range r.Throughput {
		if v.Size != sizes[0] {
			continue
		}
		fmt.Fprintf(&b, "| %s |", v.System)
		for _, size := range sizes {
			fmt.Fprintf(&b, " %s |", cell(find(r.Throughput, v.System, size).PerSecond.Median, 0))
		}
		last := sizes[len(sizes)-1]
		fmt.Fprintf(&b, " %s |\n", cell(find(r.Throughput, v.System, last).PerSecond.Median*float64(last)/1e6, 0))
	}
	return b.String()
}

// tableCosts is what the README says.
func (r *results) tableCosts() string {
	var b strings.Builder
	fmt.Fprintf(&b, "On %d cores of an %s, two processes over the loopback, encrypted (%s, [bench/results.json](bench/results.json), made by `make bench`):\n\n| | |\n|---|---|\n",
		r.Machine.Cores, r.Machine.CPU, r.when())
	row := func(ok bool, what, format string, values ...any) {
		if ok {
			fmt.Fprintf(&b, "| %s | "+format+" |\n", append([]any{what}, values...)...)
		}
	}
	rate := func(system, what string) {
		v := find(r.Throughput, system, fanoutSize)
		row(v.PerSecond.Median > 0, what, "%s a second, %s s of CPU a million", rounded(v.PerSecond.Median), number(v.CPU.Median, 1))
	}
	rate(kozoSystem, "256-byte messages from role to role, CPU of both sides")
	rate("ssh", "the same over a bare SSH channel")
	rate("nats", "the same over NATS with TLS")
	rate("zeromq", "the same over ZeroMQ with CURVE")
	for _, l := range r.Latency {
		row(l.System == kozoSystem, "time from role to role at 1,000 messages a second", "%.2f ms in the median, %.2f ms for 99 %%", l.P50.Median/1000, l.P99.Median/1000)
	}
	if v := r.Start; v != nil {
		row(true, "from the start of a node to its first message at the other one", "%.0f ms", v.Sender.Median)
	}
	if v := r.Memory; v != nil {
		row(true, "memory of a node alone", "%.0f MiB, of which %.1f MiB are not the program file; %.2f MiB more for each peer", v.NodeKiB/1024, v.NodeAnonKiB/1024, v.PeerKiB/1024)
	}
	for _, v := range r.Mesh {
		row(v.Processes == 50, "50 nodes on that machine until all 2,450 links are up", "%.1f s", v.Seconds.Median)
	}
	if v := r.Idle; v != nil {
		row(true, "an idle network of three", "%.3f %% of a core each, %s", v.CPUPercent.Median, map[bool]string{true: "nothing written to the disk", false: fmt.Sprintf("%d bytes written to the disk", v.WriteBytes)}[v.WriteBytes == 0])
	}
	return b.String()
}
