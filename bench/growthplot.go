package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// The picture of how costs grow: panels of lines, both axes logarithmic.
const (
	growthWidth  = 760
	growthPanel  = 230 // height
	growthLeft   = 70
	growthRight  = 500
	growthTop    = 34
	growthBottom = 36
)

type point struct {
	x float64
	y spread
}

type curveLine struct {
	name, colour string
	style        string // more attributes of its line
	points       []point
}

type growthPlot struct {
	title, across string
	lines         []curveLine
}

// growthSVG draws what grows with the number of nodes, filters and roles.
func (r *results) growthSVG() []byte {
	plots := r.growthPlots()
	height := 30 + growthPanel*len(plots)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", growthWidth, height, growthWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	for i, p := range plots {
		p.draw(&b, i*growthPanel)
	}
	m := r.Machine
	fmt.Fprintf(&b, `<text x="10" y="%d" fill="#666" font-size="11">%s, %d cores, %s, %s; dots are medians, lines at them ranges; axes are logarithmic</text>`+"\n",
		height-10, escape(m.CPU), m.Cores, escape(m.Go), r.when())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

const (
	colourKozo   = "#c8553d"
	colourApart  = "#7a4b9d"
	colourFloor  = "#8a939c"
	colourOthers = "#3d7ac8"
	dashes       = ` stroke-dasharray="4 3"`
)

func (r *results) growthPlots() []growthPlot {
	of := func(name, colour string, apart bool, figure func(mesh) spread) curveLine {
		l := curveLine{name: name, colour: colour}
		for _, v := range r.Mesh {
			if y := figure(v); (v.Processes > 1) == apart && y.Median > 0 {
				l.points = append(l.points, point{float64(v.Nodes), y})
			}
		}
		slices.SortFunc(l.points, func(a, b point) int { return int(a.x - b.x) })
		return l
	}
	dashed := func(l curveLine) curveLine {
		l.style = dashes
		return l
	}
	one := func(v float64) spread { return spread{v, v, v} }
	four := func(title string, own, floor func(mesh) spread) growthPlot {
		return growthPlot{title: title, across: "nodes", lines: []curveLine{
			of("in one process", colourKozo, false, own), of("a process each", colourApart, true, own),
			dashed(of("bare SSH, in one process", colourKozo, false, floor)), dashed(of("bare SSH, a process each", colourApart, true, floor)),
		}}
	}
	again := four("Rolling restart: seconds until a node, and all links to it, are up again", func(m mesh) spread {
		if m.Restart == nil {
			return spread{}
		}
		return m.Restart.Whole
	}, func(mesh) spread { return spread{} })
	filters := growthPlot{title: "Messages a second to a node that has more and more", across: "of them"}
	for _, c := range [...]struct{ of, colour string }{
		{curveFilters, colourKozo}, {curveChannels, colourFloor}, {curveOthers, colourApart}, {curveWanting, colourOthers},
	} {
		l := curveLine{name: c.of, colour: c.colour}
		for _, v := range r.Curves {
			if v.Of == c.of {
				l.points = append(l.points, point{float64(v.Count), v.PerSecond})
			}
		}
		filters.lines = append(filters.lines, l)
	}
	plots := []growthPlot{
		four("Full mesh: seconds until all links are up", func(m mesh) spread { return m.Seconds }, func(m mesh) spread { return m.FloorSeconds }),
		four("Full mesh: seconds of CPU until then", func(m mesh) spread { return m.CPU }, func(m mesh) spread { return m.FloorCPU }),
		four("Full mesh: MiB of memory a node", func(m mesh) spread { return one(m.NodeKiB / 1024) }, func(m mesh) spread { return one(m.FloorNodeKiB / 1024) }),
		four("Full mesh: milliseconds of CPU a node and minute, idle", func(m mesh) spread { return one(m.SteadyCPU) }, func(mesh) spread { return spread{} }),
		again, filters,
	}
	for i := range plots {
		plots[i].lines = slices.DeleteFunc(plots[i].lines, func(l curveLine) bool { return len(l.points) == 0 })
	}
	return slices.DeleteFunc(plots, func(p growthPlot) bool { return len(p.lines) == 0 })
}

func (p growthPlot) draw(b *bytes.Buffer, top int) {
	low, high := point{math.Inf(1), spread{Min: math.Inf(1)}}, point{}
	for _, l := range p.lines {
		for _, v := range l.points {
			low.x, high.x = min(low.x, v.x), max(high.x, v.x)
			low.y.Min, high.y.Max = min(low.y.Min, v.y.Min), max(high.y.Max, v.y.Max)
		}
	}
	floor, ceiling := low.y.Min/1.5, high.y.Max*1.5
	x := func(v float64) float64 {
		if high.x <= low.x {
			return growthLeft
		}
		return growthLeft + (growthRight-growthLeft)*math.Log(v/low.x)/math.Log(high.x/low.x)
	}
	bottom := float64(top + growthPanel - growthBottom)
	y := func(v float64) float64 {
		return bottom - (bottom-float64(top+growthTop))*math.Log(v/floor)/math.Log(ceiling/floor)
	}
	fmt.Fprintf(b, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", top+20, escape(p.title))
	fmt.Fprintf(b, `<path d="M%d %dV%.1fH%d" fill="none" stroke="#444"/>`+"\n", growthLeft, top+growthTop, bottom, growthRight)
	for _, v := range ticks(floor, ceiling, 6) {
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#e4e7ea"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`, growthLeft, y(v), growthRight, growthLeft-6, y(v)+4, plain(v))
	}
	marked := map[float64]bool{}
	for i, l := range p.lines {
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", growthRight+54, top+growthTop+14+i*18, l.colour, escape(l.name))
		fmt.Fprintf(b, `<path d="M%d %dh24" stroke="%s" stroke-width="1.5"%s/>`+"\n", growthRight+24, top+growthTop+10+i*18, l.colour, l.style)
		path := "M"
		for _, v := range l.points {
			path += fmt.Sprintf("%.1f %.1f ", x(v.x), y(v.y.Median))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/><path d="M%.1f %.1fV%.1f" stroke="%s"/>`, x(v.x), y(v.y.Median), l.colour, x(v.x), y(v.y.Min), y(v.y.Max), l.colour)
			if !marked[v.x] {
				marked[v.x] = true
				fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x(v.x), bottom+16, number(v.x, 0))
			}
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>`+"\n", path, l.colour, l.style)
	}
	fmt.Fprintf(b, `<text x="%d" y="%.1f">%s</text>`+"\n", growthRight+24, bottom+16, escape(p.across))
}
