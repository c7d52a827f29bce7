package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
)

// The picture: panels of bars, one bar a system, on a logarithmic scale since
// the systems lie orders of magnitude apart. The thin line is the range.
const (
	plotWidth  = 760
	plotLabel  = 130 // of the width, for names
	plotValue  = 190 // and for figures
	plotBar    = 18
	plotHeader = 62
)

type bar struct {
	system string
	value  spread
}

type panel struct {
	title  string
	digits int // of the values, after the point
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
	fmt.Fprintf(&b, `<text x="10" y="%d" fill="#666" font-size="11">%s, %d cores, %s, tcp %s, %s; bars are medians of %d rounds, thin lines and brackets are ranges; axes are logarithmic</text>`+"\n",
		height-10, escape(m.CPU), m.Cores, escape(m.Go), escape(m.Congestion), r.when(), r.Parts["throughput"].Rounds)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// panels are what is drawn of the results.
func (r *results) panels() []panel {
	rate := panel{title: "Delivered messages a second, 256 bytes, one process to another (more is better)"}
	cpu := panel{title: "CPU seconds for a million of them, all processes (less is better)", digits: 2}
	for _, v := range r.Throughput {
		if v.Size == 256 && v.PerSecond.Median > 0 {
			rate.bars = append(rate.bars, bar{v.System, v.PerSecond})
			cpu.bars = append(cpu.bars, bar{v.System, v.CPU})
		}
	}
	fanout := panel{title: "Delivered messages a second, 256 bytes, one process to ten (more is better)"}
	for _, v := range r.Fanout {
		if v.PerSecond.Median > 0 {
			fanout.bars = append(fanout.bars, bar{v.System, v.PerSecond})
		}
	}
	slices.SortStableFunc(fanout.bars, func(a, b bar) int { // ours is first, as everywhere
		return cmp.Compare(rank(a.system), rank(b.system))
	})
	half := panel{title: "Latency at 1,000 messages a second in µs, p50 (less is better)"}
	tail := panel{title: "Latency at 1,000 messages a second in µs, p99 (less is better)"}
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

func rank(system string) int {
	if system == kozoSystem {
		return 0
	}
	return 1
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
	top := y + 28
	bottom := top + plotBar*len(p.bars)
	for _, v := range ticks(low, high, 5) {
		fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="#e4e7ea"/><text x="%.1f" y="%d" text-anchor="middle" font-size="10" fill="#666">%s</text>`+"\n",
			at(v), top, bottom, at(v), bottom+12, plain(v))
	}
	for _, v := range p.bars {
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
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotWidth-10, top+12, p.text(v.value))
		top += plotBar
	}
}

// text is a value with its range; of large ones two digits are enough for that.
func (p panel) text(v spread) string {
	of := func(v float64) string {
		switch {
		case v >= 1e6:
			return number(v/1e6, 2) + " M"
		case v >= 1e4:
			return number(v/1e3, 0) + " k"
		}
		return number(v, p.digits)
	}
	return fmt.Sprintf("%s (%s–%s)", of(v.Median), of(v.Min), of(v.Max))
}

// ticks are round numbers between two values of a logarithmic axis: no more than
// most, if there are so few.
func ticks(low, high float64, most int) (list []float64) {
	for _, steps := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		list = nil
		for e := math.Floor(math.Log10(low)); e <= math.Log10(high); e++ {
			for _, step := range steps {
				if v := step * math.Pow(10, e); v >= low && v <= high {
					list = append(list, v)
				}
			}
		}
		if len(list) <= most {
			break
		}
	}
	return list
}

// plain writes a round number.
func plain(v float64) string {
	return number(v, max(0, -int(math.Floor(math.Log10(v)+1e-9))))
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
