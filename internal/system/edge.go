package system

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kozo"
)

// Edge is what the configuration says about the link from one node to another.
type Edge struct {
	From, To *Node
	Policy   kozo.Policy
	Targets  []Target // in the order in which they are dialled

	// Rides says that no target can be dialled, but that the other node can
	// dial this one, and that the link then uses the connection it made.
	Rides bool

	// Never is the reason for which this link can never come up; empty if it
	// can.
	Never string
}

// Target is one way in which a link can be dialled.
type Target struct {
	Local    *Transport // of the dialling node
	Remote   *Transport // of the other node
	Endpoint string
	Priority kozo.Priority
}

// Edge analyses the link between two different nodes of the system.
func (s *System) Edge(from, to *Node) Edge {
	e := Edge{From: from, To: to, Policy: from.SelfToOthers.Combine(to.OthersToSelf)}
	e.Targets = targets(from, to)
	switch {
	case e.Policy == kozo.Never && from.SelfToOthers == kozo.Never:
		e.Never = fmt.Sprintf("selfToOthersConnectPolicy of %s is never", from.Name)
	case e.Policy == kozo.Never:
		e.Never = fmt.Sprintf("othersToSelfConnectPolicy of %s is never", to.Name)
	case len(e.Targets) > 0:
	case s.carries(to, from):
		e.Rides = true
	case len(targets(to, from)) > 0:
		e.Never = fmt.Sprintf("%s cannot be dialled, and a connection that it makes carries only what it sends itself, since %s brings its own encryption",
			to.Name, types(to))
	default:
		e.Never = whyNoTarget(from, to)
	}
	return e
}

// Edges analyses every ordered pair of nodes, in the order of the file.
func (s *System) Edges() []Edge {
	var edges []Edge
	for _, a := range s.Nodes {
		for _, b := range s.Nodes {
			if a != b {
				edges = append(edges, s.Edge(a, b))
			}
		}
	}
	return edges
}

// carries says whether from can have a connection to to that it dialled itself,
// and on which to can send as well.
func (s *System) carries(from, to *Node) bool {
	return from.SelfToOthers.Combine(to.OthersToSelf) != kozo.Never &&
		slices.ContainsFunc(targets(from, to), func(t Target) bool { return !t.Local.Secured() })
}

// targets pairs the transports of two nodes: best priority first, then in the
// order of the file. The priority of a pair is that of its worse side.
func targets(from, to *Node) []Target {
	var found []Target
	for _, remote := range to.Transports {
		for _, local := range from.Transports {
			if !canConnect(local, remote, to.Name) {
				continue
			}
			for _, endpoint := range remote.Transport.Endpoints() {
				found = append(found, Target{
					Local: local, Remote: remote, Endpoint: endpoint,
					Priority: min(kozo.PriorityOf(local.Transport), kozo.PriorityOf(remote.Transport)),
				})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Target) int { return cmp.Compare(b.Priority, a.Priority) })
	return found
}

func canConnect(local, remote *Transport, to kozo.NodeName) bool {
	if !local.Known || !remote.Known || local.Secured() != remote.Secured() {
		return false
	}
	switch t := local.Transport.(type) {
	case kozo.Seeker:
		return t.CanSeek(remote.Remote(to))
	case kozo.Connector:
		return t.CanConnect(remote.Transport)
	}
	return local.Type == remote.Type
}

func whyNoTarget(from, to *Node) string {
	switch {
	case len(from.Transports) == 0:
		return fmt.Sprintf("%s has no transports", from.Name)
	case len(to.Transports) == 0:
		return fmt.Sprintf("%s has no transports", to.Name)
	}
	common := false
	for _, remote := range to.Transports {
		for _, local := range from.Transports {
			common = common || canConnect(local, remote, to.Name) || local.Type == remote.Type
		}
	}
	if common {
		return fmt.Sprintf("%s has no address that %s can dial, and %s cannot be dialled by it either", to.Name, from.Name, from.Name)
	}
	return fmt.Sprintf("they have no transport in common: %s has %s, %s has %s",
		from.Name, types(from), to.Name, types(to))
}

func types(n *Node) string {
	var list []string
	for _, t := range n.Transports {
		if !slices.Contains(list, t.Type) {
			list = append(list, t.Type)
		}
	}
	return strings.Join(list, ", ")
}

// Unheard describes a subscription for which no role of the system sends
// anything.
type Unheard struct {
	Role   kozo.RoleRef
	Filter kozo.Filter
	Why    string
}

// Unheard finds the subscriptions that can never get a message, as far as the
// configuration alone can tell.
func (s *System) Unheard() []Unheard {
	var found []Unheard
	for _, n := range s.Nodes {
		for _, r := range n.Roles {
			for _, f := range r.Interest {
				if why := s.unheard(f); why != "" {
					found = append(found, Unheard{Role: kozo.RoleRef{Node: n.Name, Role: r.Name}, Filter: f, Why: why})
				}
			}
		}
	}
	return found
}

func (s *System) unheard(f kozo.Filter) string {
	if f.Node != "" && s.Node(f.Node) == nil {
		return fmt.Sprintf("there is no node %q", f.Node)
	}
	if f.Role == kozo.NodeRole {
		return ""
	}
	named := false
	for _, n := range s.Nodes {
		for _, r := range n.Roles {
			if (f.Node != "" && f.Node != n.Name) || (f.Role != "" && f.Role != r.Name) {
				continue
			}
			named = true
			if !r.Known || !r.Declares || slices.ContainsFunc(r.Publishes, func(p kozo.Filter) bool { return overlap(f, p) }) {
				return ""
			}
		}
	}
	// Any role may log, and a person can send anything from a node.
	if f.Kind == kozo.Log && named || f.Role == "" && f.Kind != kozo.Event {
		return ""
	}
	if f.Role != "" && !named {
		return fmt.Sprintf("there is no role %q", f.Role)
	}
	return fmt.Sprintf("no role sends %s", f)
}

// overlap says whether some message can match both a subscription and what a
// role says it publishes.
func overlap(a, b kozo.Filter) bool {
	return (a.Kind == kozo.AnyKind || b.Kind == kozo.AnyKind || a.Kind == b.Kind) &&
		(a.Type == "" || b.Type == "" || a.Type == b.Type) &&
		(a.Channel == "" || b.Channel == "" || a.Channel == b.Channel)
}
