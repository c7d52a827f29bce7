// Package view shows people what a running node is doing, and what a
// configuration means for two nodes that are to talk to each other.
package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/secure"
	"kozo/internal/status"
)

// Status writes a snapshot for people, in at most 100 columns where names allow.
func Status(style term.Style, s status.Node) string {
	v := view{style: style, s: s}
	v.head()
	v.transports()
	v.links()
	v.arrivals()
	v.roles()
	v.drift()
	v.strangers()
	return v.b.String()
}

type view struct {
	style term.Style
	s     status.Node
	b     strings.Builder
}

func (v *view) line(format string, args ...any) { fmt.Fprintf(&v.b, format+"\n", args...) }

func (v *view) title(text string) { v.line("\n%s", v.style.Bold(text)) }

func (v *view) table(t *term.Table) {
	_, _ = t.WriteTo(&v.b)
}

// headings returns the first row of a table.
func (v *view) headings(words ...string) []string {
	for i, w := range words {
		words[i] = v.style.Dim(strings.ToUpper(w))
	}
	return words
}

// ago is a length of time up to when the snapshot was taken.
func (v *view) ago(t time.Time) string { return term.Span(max(0, v.s.Now.Sub(t))) }

func (v *view) head() {
	v.line("%s  running for %s, pid %d, kozo %s", v.style.Bold(v.s.Name), v.ago(v.s.Since), v.s.PID, term.Clean(v.s.Version))
	if v.s.Config != "" {
		v.line("%s", v.style.Dim(term.Clean(v.s.Config)))
	}
}

func (v *view) transports() {
	if len(v.s.Transports) == 0 {
		return
	}
	v.title("transports")
	t := term.Table{Indent: "  "}
	for _, tr := range v.s.Transports {
		name := tr.Name
		if tr.Type != tr.Name {
			name += " (" + tr.Type + ")"
		}
		switch {
		case tr.Error != "":
			t.Row(name, v.style.Bad("does not listen: "+term.Clean(tr.Error)))
		case tr.Listens != "":
			t.Row(name, v.style.Good("listens")+" on "+term.Clean(tr.Listens))
		default:
			t.Row(name, "dials only")
		}
	}
	v.table(&t)
}

// state colours a state of a link or a role.
func (v *view) state(state string) string {
	switch state {
	case "up", "running":
		return v.style.Good(state)
	case "dialling", "waiting", "listening":
		return v.style.Pending(state)
	case "stopped":
		return v.style.Bad(state)
	}
	return v.style.Dim(state)
}

// maxVia is the width of an endpoint in the table of links.
const maxVia = 27

func (v *view) links() {
	v.title("links")
	if len(v.s.Links) == 0 {
		v.line("  none: this node is alone in its configuration")
		return
	}
	t := term.Table{Indent: "  ", Right: []int{4, 5, 6, 7, 8}}
	t.Row(v.headings("to", "state", "via", "for", "round trip", "skew", "sent", "arrived", "dropped")...)
	for _, l := range v.s.Links {
		via, trip, skew, since := "", "", "", ""
		switch {
		case l.Transport != "" && l.Rides:
			via = l.Transport + " (theirs)"
		case l.Transport != "":
			via = shorten(strings.TrimSpace(l.Transport+" "+term.Clean(l.Endpoint)), maxVia)
		}
		if l.Since != nil {
			since = v.ago(*l.Since)
		}
		if l.State == "up" {
			trip, skew = trips(l)
		}
		t.Row(l.Peer, v.state(l.State), via, since, trip, skew,
			number(l.Out.Sent), number(l.Out.Delivered), v.dropped(status.Sum(l.Out.Dropped)))
	}
	v.table(&t)
	for _, l := range v.s.Links {
		v.aboutLink(l)
	}
}

// trips writes how long a heartbeat takes there and back, and by how much the
// clock of the peer differs.
func trips(l status.Link) (trip, skew string) {
	if l.RoundTrip <= 0 {
		return "", ""
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	ahead := seconds(l.Skew)
	// Half a round trip is what cannot be known.
	if ahead.Abs() <= seconds(l.RoundTrip)/2 || ahead.Abs() < time.Millisecond {
		return term.Span(seconds(l.RoundTrip)), "none"
	}
	if ahead > 0 {
		return term.Span(seconds(l.RoundTrip)), "+" + term.Span(ahead)
	}
	return term.Span(seconds(l.RoundTrip)), term.Span(ahead)
}

// aboutLink says what the table does not.
func (v *view) aboutLink(l status.Link) {
	var about []string
	if l.State != "up" {
		// The last error of a target stands beside the target.
		if l.Reason != "" && !slices.ContainsFunc(l.Targets, func(t status.Target) bool {
			return t.Error != "" && strings.Contains(l.Reason, t.Error)
		}) {
			about = append(about, "down: "+term.Clean(l.Reason))
		}
		if l.NextAttempt != nil {
			about = append(about, "next attempt in "+term.Span(max(0, l.NextAttempt.Sub(v.s.Now))))
		}
		if l.Policy == "ondemand" && l.State == "idle" {
			about = append(about, "on demand: comes up when there is a message for it")
		}
	}
	if l.Out.Queued > 0 {
		about = append(about, term.Count(l.Out.Queued, "message")+" waiting")
	}
	if l.Out.InFlight > 0 && l.State != "up" {
		about = append(about, term.Count(l.Out.InFlight, "message")+" not confirmed: sent again when the link is back, if need be")
	}
	if status.Sum(l.Out.Dropped) > 0 {
		about = append(about, "dropped: "+causes(l.Out.Dropped))
	}
	if len(about) == 0 && (l.State == "up" || len(l.Targets) == 0) {
		return
	}
	v.line("\n  %s", v.style.Bold(l.Peer))
	for _, line := range about {
		for i, part := range term.Wrap(line, 94) {
			v.line("    %s%s", strings.Repeat("  ", min(i, 1)), part)
		}
	}
	if l.State == "up" || l.State == "off" {
		return
	}
	v.targets(l.Targets)
}

// targets shows how the last attempt at each target went.
func (v *view) targets(targets []status.Target) {
	t := term.Table{Indent: "    "}
	wide := 0
	for _, target := range targets {
		wide = max(wide, term.Width(target.Transport+" "+term.Clean(target.Endpoint)))
	}
	for _, target := range targets {
		tried, result := "not tried yet", []string{""}
		if target.Tried != nil {
			tried, result = "tried "+v.ago(*target.Tried)+" ago", []string{"worked"}
			if target.Error != "" {
				result = term.Wrap(term.Clean(target.Error), max(30, 100-4-wide-2-18-2))
			}
		}
		t.Row(target.Transport+" "+term.Clean(target.Endpoint), tried, result[0])
		for _, more := range result[1:] {
			t.Row("", "", more)
		}
	}
	v.table(&t)
}

func (v *view) arrivals() {
	var from []status.Link
	for _, l := range v.s.Links {
		if l.In.Connected || l.In.Received > 0 {
			from = append(from, l)
		}
	}
	if len(from) == 0 {
		return
	}
	v.title("arrivals")
	t := term.Table{Indent: "  ", Right: []int{3, 4, 5}}
	t.Row(v.headings("from", "state", "for", "received", "accepted", "dropped", "")...)
	for _, l := range from {
		state, since := v.style.Dim("not connected"), ""
		if l.In.Connected {
			state = v.style.Good("connected")
			if l.In.Since != nil {
				since = v.ago(*l.In.Since)
			}
		}
		t.Row(l.Peer, state, since, number(l.In.Received), number(l.In.Accepted),
			v.dropped(status.Sum(l.In.Dropped)), causes(l.In.Dropped))
	}
	v.table(&t)
}

func (v *view) roles() {
	v.title("roles")
	if len(v.s.Roles) == 0 {
		v.line("  none")
		return
	}
	t := term.Table{Indent: "  ", Right: []int{3, 4, 5, 6, 7}}
	t.Row(v.headings("role", "type", "state", "restarts", "sent", "received", "waiting", "dropped", "")...)
	for _, r := range v.s.Roles {
		waiting := number(r.Inbox.Queued)
		if r.Inbox.Queued > 0 {
			waiting += " (" + sizeOf(r.Inbox.Bytes) + ")"
		}
		t.Row(r.Name, r.Type, v.state(r.State), fmt.Sprint(r.Restarts), number(r.Sent),
			number(r.Inbox.Taken), waiting, v.dropped(status.Sum(r.Inbox.Dropped)), causes(r.Inbox.Dropped))
	}
	v.table(&t)
	for _, r := range v.s.Roles {
		if r.Error != "" {
			v.line("  %s: %s", v.style.Bold(r.Name), v.style.Bad("last error: "+term.Clean(r.Error)))
		}
		if r.Note != "" {
			v.line("  %s: %s", v.style.Bold(r.Name), v.style.Pending(term.Clean(r.Note)))
		}
	}
}

func (v *view) drift() {
	for _, l := range v.s.Links {
		if len(l.Drift) == 0 {
			continue
		}
		blocks := make([]string, len(l.Drift))
		for i, b := range l.Drift {
			blocks[i] = term.Clean(b)
		}
		v.line("\n%s", v.style.Pending(l.Peer+" has another configuration: "+term.List(blocks)))
		v.line("  copy the same file to both nodes, and restart them")
	}
}

func (v *view) strangers() {
	if len(v.s.Strangers) == 0 {
		return
	}
	v.title("strangers who knocked")
	for _, s := range v.s.Strangers {
		name := "a node"
		if s.Name != "" {
			name = `"` + term.Clean(s.Name) + `"`
		}
		v.line("  %s at %s, %s, last %s ago: %s", name, term.Clean(s.Address), times(s.Count), v.ago(s.Last), term.Clean(s.Reason))
		v.paste(s)
	}
}

// paste prints what to put into the file if the stranger is a machine of ours.
// Everything in it came from the network: only what is a name and a key goes in.
func (v *view) paste(s status.Stranger) {
	key, err := secure.ParsePublicKey(s.Key)
	if err != nil {
		return
	}
	name := s.Name
	if kozo.CheckName(name) != nil {
		name = "NAME"
	}
	if known := slices.ContainsFunc(v.s.Links, func(l status.Link) bool { return l.Peer == name }); known || name == v.s.Name {
		v.line("  if this is %s with a new key, put the new one into the file, on every node:\n", name)
		v.line("    %s:", name)
		v.line("        publicKey: %s\n", key.Line())
		return
	}
	v.line("  if it is a machine of yours, put it into the file under system, on every node:\n")
	v.line("    %s:", name)
	v.line("        privateKey: %s.key", name)
	v.line("        publicKey: %s", key.Line())
	v.line("        transports:")
	v.line("            tcp:")
	v.line("                address: %s.local\n", name)
}

func (v *view) dropped(n uint64) string {
	if n == 0 {
		return v.style.Dim("0")
	}
	return v.style.Bad(number(n))
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
