package main

import (
	"bytes"
	"fmt"
	"math"
)

// The picture: panels of bars, one bar a system, on a logarithmic scale since
// the systems lie orders of magnitude apart. The thin line is the range.
const (
	plotWidth  = 760
	plotLabel  = 130 // of the width, for names
	plotValue  = 170 // and for figures
	plotBar    = 18
	plotHeader = 44
)

type bar struct {
	system string
	value  spread
}

type panel struct {
	title  string
	format string // of the value
	bars   []bar
}

// svg draws the results.
func (r *results) svg() []byte {
	panels := r.panels()
	height := 40
	for _, p := range panels {
		height += plotHeader + plotBar*len(p.bars)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	y := 10
	for _, p := range panels {
		p.draw(&b, y)
		y += plotHeader + plotBar*len(p.bars)
	}
	m := r.Machine
	fmt.Fprintf(&b, `<text x="10" y="%d" fill="#666" font-size="11">%s, %d cores, %s, tcp %s, %s; medians and ranges of %d rounds, logarithmic</text>`+"\n",
		height-10, escape(m.CPU), m.Cores, escape(m.Go), escape(m.Congestion), r.when(), r.Parts["throughput"].Rounds)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// panels are what is drawn of the results.
func (r *results) panels() []panel {
	rate := panel{title: "Delivered messages a second, 256 bytes, one process to another (more is better)", format: "%.0f"}
	cpu := panel{title: "CPU seconds for a million of them, all processes (less is better)", format: "%.2f"}
	for _, v := range r.Throughput {
		if v.Size == 256 && v.PerSecond.Median > 0 {
			rate.bars = append(rate.bars, bar{v.System, v.PerSecond})
			cpu.bars = append(cpu.bars, bar{v.System, v.CPU})
		}
	}
	fanout := panel{title: "Delivered messages a second, 256 bytes, one process to ten (more is better)", format: "%.0f"}
	for _, v := range r.Fanout {
		if v.PerSecond.Median > 0 {
			fanout.bars = append(fanout.bars, bar{v.System, v.PerSecond})
		}
	}
	half := panel{title: "Latency at 1,000 messages a second in µs, p50 (less is better)", format: "%.0f"}
	tail := panel{title: "Latency at 1,000 messages a second in µs, p99 (less is better)", format: "%.0f"}
	for _, v := range r.Latency {
		if v.P50.Median > 0 {
			half.bars = append(half.bars, bar{v.System, v.P50})
			tail.bars = append(tail.bars, bar{v.System, v.P99})
		}
	}
	var panels []panel
	for _, p := range []panel{rate, cpu, fanout, half, tail} {
		if len(p.bars) > 0 {
			panels = append(panels, p)
		}
	}
	return panels
}

func (p panel) draw(b *bytes.Buffer, y int) {
	low, high := math.Inf(1), 0.0
	for _, v := range p.bars {
		low, high = min(low, v.value.Min), max(high, v.value.Max)
	}
	low /= 2 // so that the shortest bar can be seen
	const room = plotWidth - plotLabel - plotValue
	at := func(v float64) float64 {
		if v <= low || high <= low {
			return plotLabel
		}
		return plotLabel + room*math.Log(v/low)/math.Log(high/low)
	}
	fmt.Fprintf(b, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", y+20, escape(p.title))
	for i, v := range p.bars {
		top := y + 28 + i*plotBar
		colour := "#8fa3b8" // a neighbour
		if _, ok := floorNamed(v.system); ok {
			colour = "#d5d9de"
		}
		if v.system == kozoSystem {
			colour = "#c8553d"
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, plotLabel-6, top+12, escape(label(v.system)))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, plotLabel, top+2, at(v.value.Median)-plotLabel, plotBar-4, colour)
		fmt.Fprintf(b, `<path d="M%.1f %dH%.1f" stroke="#222"/>`, at(v.value.Min), top+plotBar/2, at(v.value.Max))
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">`+p.format+"</text>\n", plotWidth-10, top+12, v.value.Median)
	}
}

// escape makes a text safe inside an element.
func escape(s string) string {
	var b bytes.Buffer
	for _, c := range s {
		switch c {
		case '<', '>', '&':
			fmt.Fprintf(&b, "&#%d;", c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
