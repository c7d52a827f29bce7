package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
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

func (r *results) print(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "%s, %d cores, %s %s, %s, tcp %s; medians (and ranges) of shuffled rounds\n", m.CPU, m.Cores, m.System, m.Kernel, m.Go, m.Congestion)

	for _, n := range r.Neighbours {
		fmt.Fprintf(w, "%s: %s\n", n.Name, n.Version)
	}
	if names := leftOut(r.Neighbours); len(names) > 0 && len(r.Throughput)+len(r.Fanout)+len(r.Latency) > 0 {
		fmt.Fprintf(w, "left out, since this machine does not have them: %s\n", strings.Join(names, ", "))
	}
	printThroughputs(w, "One process to another, delivered at the receiving role", r.Throughput)
	if len(r.Fanout) > 0 {
		printThroughputs(w, fmt.Sprintf("One process to %d others, delivered at all roles together", r.Fanout[0].Receivers), r.Fanout)
	}
	printCurves(w, r.Curves)
	if len(r.Latency) > 0 {
		fmt.Fprintf(w, "\nFrom role to role, in microseconds\n")
		t := table(w)
		fmt.Fprintln(t, "system\tmessages/s\tbytes\tp50\tp99\tp99.9\t")
		for _, v := range r.Latency {
			fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t\n", label(v.System), v.Rate, v.Size, v.P50.text(0), v.P99.text(0), v.P999.text(0))
		}
		_ = t.Flush() // w is the terminal or a buffer
	}
	printOverload(w, r.Overload)
	r.Onion.print(w, "Over Tor, all of it on this machine")
	if v := r.Bluetooth; v != nil {
		v.print(w, "Over Bluetooth without air, in "+v.Machine)
	}
	if v := r.Start; v != nil {
		fmt.Fprintf(w, "\nFrom start to first message, in milliseconds\n  the receiver runs already  %s\n  both start                 %s\n", v.Sender.text(1), v.Both.text(1))
	}
	if v := r.Memory; v != nil {
		fmt.Fprintf(w, "\nResident memory when idle, in KiB (without the pages of the program file)\n  a node alone               %.0f (%.0f)\n  one more peer, both links  %.0f (of %d); with bare connections %.0f\n",
			v.NodeKiB, v.NodeAnonKiB, v.PeerKiB, v.Peers, v.FloorPeerKiB)
	}
	if len(r.Resident) > 0 {
		fmt.Fprintf(w, "\nResident memory of two connected processes and their broker, next to idle, in MiB\n")
		t := table(w)
		for _, v := range r.Resident {
			fmt.Fprintf(t, "%s\t%s\t\n", label(v.System), v.KiB.scaled(1.0/1024).text(1))
		}
		_ = t.Flush() // w is the terminal or a buffer
	}
	printMeshes(w, r.Mesh)
	if v := r.Idle; v != nil {
		fmt.Fprintf(w, "\n%d idle nodes for %.0f s, heartbeat 10 s, each\n  CPU          %s %% of a core; bare processes that send as much %s %%\n  ratio        %.2f\n  wake-ups     %.0f a minute; bare %.0f\n  memory       %.1f MiB, %.1f of them not the program file\n  disk writes  %d bytes\n",
			v.Nodes, v.Seconds, v.CPUPercent.text(3), v.BareCPU.text(3), v.Ratio, v.Wakeups, v.BareWakeups, v.NodeKiB/1024, v.NodeAnonKiB/1024, v.WriteBytes)
		if v.WireBytes > 0 {
			fmt.Fprintf(w, "  each link    %.0f bytes a minute, headers included\n", v.WireBytes)
		}
	}
	r.printRatios(w)
}

func printMeshes(w io.Writer, list []mesh) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\nFull mesh, all nodes started at once; the floor is as many bare SSH handshakes\n")
	t := table(w)
	fmt.Fprintln(t, "nodes\tprocesses\tlinks\tseconds\tfloor\tCPU-s\tfloor\tratio\tMiB a node\tfloor\tidle ms CPU a minute\trestarted in\tlost\tcounted\t")
	for _, v := range list {
		fmt.Fprintf(t, "%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%.1f\t%.1f\t%.0f\t", v.Nodes, v.Processes, v.Links, v.Seconds.text(2), v.FloorSeconds.text(2),
			v.CPU.text(2), v.FloorCPU.text(2), v.Ratio.text(2), v.NodeKiB/1024, v.FloorNodeKiB/1024, v.SteadyCPU)
		switch {
		case v.Restart == nil:
			fmt.Fprintln(t, "\t\t\t")
		case v.Restart.Losses == nil:
			fmt.Fprintf(t, "%s\t\t\t\n", v.Restart.Whole.text(2))
		default:
			fmt.Fprintf(t, "%s\t%d of %d\t%d\t\n", v.Restart.Whole.text(2), v.Restart.Losses.lost(), v.Restart.Losses.Sent, v.Restart.Losses.Counted)
		}
	}
	_ = t.Flush() // w is the terminal or a buffer
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
