package main

import (
	"fmt"
	"io"

	"kozo/bench/internal/traffic"
)

// ratio is a figure of kozo by that of another system, round by round.
type ratio struct {
	Figure    string `json:"figure"`
	System    string `json:"system"` // the other one
	Size      int    `json:"size"`
	Receivers int    `json:"receivers"`
	Ratio     spread `json:"ratio"`
}

// What is compared. Of messages a second more is better, of the others less.
const (
	figureRate = "messages/s"
	figureCPU  = "CPU per message"
	figureP50  = "latency p50"
	figureP99  = "latency p99"
)

// ratios compares kozo with the others. Both figures of a ratio are of the same
// round, since the machine is not the same in all.
func (r *results) ratios() []ratio {
	var list []ratio
	for _, group := range [][]throughput{r.Throughput, r.Fanout} {
		for _, own := range group {
			if own.System != kozoSystem {
				continue
			}
			for _, other := range group {
				if other.System == kozoSystem || other.Size != own.Size {
					continue
				}
				base := ratio{System: other.System, Size: own.Size, Receivers: own.Receivers}
				list = appendRatio(list, base, figureRate, own.rounds, other.rounds, func(s sample) float64 { return s.perSecond })
				list = appendRatio(list, base, figureCPU, own.rounds, other.rounds, func(s sample) float64 { return s.cpu })
			}
		}
	}
	return append(list, r.latencyRatios()...)
}

func (r *results) latencyRatios() []ratio {
	var list []ratio
	for _, own := range r.Latency {
		if own.System != kozoSystem {
			continue
		}
		for _, other := range r.Latency {
			if other.System == kozoSystem {
				continue
			}
			base := ratio{System: other.System, Size: own.Size, Receivers: 1}
			list = appendRatio(list, base, figureP50, own.rounds, other.rounds, func(q traffic.Quantiles) float64 { return q.P50 })
			list = appendRatio(list, base, figureP99, own.rounds, other.rounds, func(q traffic.Quantiles) float64 { return q.P99 })
		}
	}
	return list
}

// appendRatio appends a ratio if there is a round that has both figures.
func appendRatio[S any](list []ratio, base ratio, figure string, own, other map[int]S, of func(S) float64) []ratio {
	var values []float64
	for round, s := range own {
		if o, ok := other[round]; ok && of(o) > 0 {
			values = append(values, of(s)/of(o))
		}
	}
	if len(values) == 0 {
		return list
	}
	base.Figure, base.Ratio = figure, spreadOf(values)
	return append(list, base)
}

func (r *results) printRatios(w io.Writer) {
	if len(r.Ratios) == 0 {
		return
	}
	fmt.Fprintf(w, "\nKōzō by the others, round by round\n")
	t := table(w)
	fmt.Fprintln(t, "figure\tbytes\tto\t\tratio\t")
	for _, v := range r.Ratios {
		fmt.Fprintf(t, "%s\t%d\t%d\tkozo / %s\t%s\t\n", v.Figure, v.Size, v.Receivers, v.System, v.Ratio.text(2))
	}
	_ = t.Flush() // w is the terminal or a buffer
}
