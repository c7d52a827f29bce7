package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// spread is what several rounds of one measurement gave.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	median := v[len(v)/2]
	if len(v)%2 == 0 {
		median = (v[len(v)/2-1] + median) / 2
	}
	return spread{Median: median, Min: v[0], Max: v[len(v)-1]}
}

func (s spread) text(digits int) string {
	if s.Min == s.Max {
		return fmt.Sprintf("%.*f", digits, s.Median)
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

func (s spread) scaled(by float64) spread {
	return spread{Median: s.Median * by, Min: s.Min * by, Max: s.Max * by}
}

// results is all that is measured, as it is written in JSON.
type results struct {
	When       time.Time    `json:"when"`
	Quick      bool         `json:"quick,omitempty"`
	Rounds     int          `json:"rounds"`
	Machine    machine      `json:"machine"`
	Neighbours []neighbour  `json:"neighbours,omitempty"`
	Ratios     []ratio      `json:"ratios,omitempty"`
	Throughput []throughput `json:"throughput,omitempty"`
	Fanout     []throughput `json:"fanout,omitempty"`
	Latency    []latency    `json:"latency,omitempty"`
	Start      *startTime   `json:"start,omitempty"`
	Memory     *memory      `json:"memory,omitempty"`
	Resident   []resident   `json:"resident,omitempty"`
	Mesh       []mesh       `json:"mesh,omitempty"`
	Idle       *idle        `json:"idle,omitempty"`
}

func (r *results) print(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "%s, %d cores, %s %s, %s, tcp %s; medians (and ranges) of %d shuffled rounds\n", m.CPU, m.Cores, m.System, m.Kernel, m.Go, m.Congestion, r.Rounds)

	for _, n := range r.Neighbours {
		fmt.Fprintf(w, "%s: %s\n", n.Name, n.Version)
	}
	printThroughputs(w, "One process to another, delivered at the receiving role", r.Throughput)
	if len(r.Fanout) > 0 {
		printThroughputs(w, fmt.Sprintf("One process to %d others, delivered at all roles together", r.Fanout[0].Receivers), r.Fanout)
	}
	if len(r.Latency) > 0 {
		fmt.Fprintf(w, "\nFrom role to role, in microseconds\n")
		t := table(w)
		fmt.Fprintln(t, "system\tmessages/s\tbytes\tp50\tp99\tp99.9\t")
		for _, v := range r.Latency {
			fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t\n", label(v.System), v.Rate, v.Size, v.P50.text(0), v.P99.text(0), v.P999.text(0))
		}
		_ = t.Flush() // w is the terminal or a buffer
	}
	if v := r.Start; v != nil {
		fmt.Fprintf(w, "\nFrom start to first message, in milliseconds\n  the receiver runs already  %s\n  both start                 %s\n", v.Sender.text(1), v.Both.text(1))
	}
	if v := r.Memory; v != nil {
		fmt.Fprintf(w, "\nResident memory when idle, in KiB (without the pages of the program file)\n  a node alone           %.0f (%.0f)\n  each peer, both links  %.0f (of %d)\n",
			v.NodeKiB, v.NodeAnonKiB, v.PeerKiB, v.Peers)
	}
	if len(r.Resident) > 0 {
		fmt.Fprintf(w, "\nResident memory of two connected processes and their broker, next to idle, in MiB\n")
		t := table(w)
		for _, v := range r.Resident {
			fmt.Fprintf(t, "%s\t%s\t\n", label(v.System), v.KiB.scaled(1.0/1024).text(1))
		}
		_ = t.Flush() // w is the terminal or a buffer
	}
	if len(r.Mesh) > 0 {
		fmt.Fprintf(w, "\nFull mesh, a process a node, all started at once\n")
		t := table(w)
		fmt.Fprintln(t, "nodes\tlinks\tseconds\tCPU-s\tms CPU a link\t")
		for _, v := range r.Mesh {
			fmt.Fprintf(t, "%d\t%d\t%s\t%s\t%.1f\t\n", v.Nodes, v.Links, v.Seconds.text(2), v.CPU.text(2), v.CPU.Median*1000/float64(v.Links))
		}
		_ = t.Flush() // w is the terminal or a buffer
	}
	if v := r.Idle; v != nil {
		fmt.Fprintf(w, "\n%d idle nodes for %.0f s, heartbeat 10 s, each\n  CPU          %s %% of a core\n  disk writes  %d bytes\n", v.Nodes, v.Seconds, v.CPUPercent.text(3), v.WriteBytes)
		if v.WireBytes > 0 {
			fmt.Fprintf(w, "  each link    %.0f bytes a minute, headers included\n", v.WireBytes)
		}
	}
	r.printRatios(w)
}

func printThroughputs(w io.Writer, title string, list []throughput) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	t := table(w)
	fmt.Fprintln(t, "bytes\tsystem\tmessages/s\tMB/s\tCPU-s per million\tsending\tbytes above\tnot delivered\t")
	for _, v := range list {
		fmt.Fprintf(t, "%d\t%s\t%s\t%.0f\t%s\t%.2f\t%.0f\t%d of %d\t\n", v.Size, label(v.System), v.PerSecond.text(0),
			v.PerSecond.Median*float64(v.Size)/1e6, v.CPU.text(2), v.SenderCPU.Median, v.Overhead.Median, v.Lost, v.Sent)
	}
	_ = t.Flush() // w is the terminal or a buffer
}

func table(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// label is what a system is called in a table.
func label(system string) string {
	if _, ok := floorNamed(system); ok {
		return "floor " + system
	}
	return system
}
