package view

import (
	"fmt"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/system"
)

// Edge is what a configuration says about a link, for programs.
type Edge struct {
	From    string   `json:"from"`
	To      string   `json:"to"`
	Policy  string   `json:"policy"`
	Targets []Target `json:"targets"`
	Rides   bool     `json:"rides,omitempty"` // uses the connection of the other node
	Never   string   `json:"never,omitempty"` // why it cannot come up
}

// Target is one way to dial, for programs.
type Target struct {
	Transport string `json:"transport"` // of the dialling node
	Endpoint  string `json:"endpoint"`
	Priority  int    `json:"priority"`
}

// EdgeOf describes a link.
func EdgeOf(e system.Edge) Edge {
	out := Edge{
		From: string(e.From.Name), To: string(e.To.Name), Policy: e.Policy.String(),
		Targets: []Target{}, Rides: e.Rides, Never: e.Never,
	}
	for _, t := range e.Targets {
		out.Targets = append(out.Targets, Target{Transport: t.Local.Name, Endpoint: t.Endpoint, Priority: int(t.Priority)})
	}
	return out
}

// Ways says how a link comes up, best way first, or why it does not.
func Ways(style term.Style, e Edge) []string {
	switch {
	case e.Never != "" && e.Policy == kozo.Never.String():
		return []string{style.Dim("never: " + e.Never)} // as the file wants it
	case e.Never != "":
		return []string{style.Bad("never: " + e.Never)}
	case e.Rides:
		return []string{fmt.Sprintf("the connection that %s makes, when it is there", e.To)}
	}
	var lines []string
	for _, t := range e.Targets {
		lines = append(lines, t.Transport+" "+t.Endpoint)
	}
	return lines
}
