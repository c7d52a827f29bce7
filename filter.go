package kozo

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Filter describes messages that a role wants. A message matches when it agrees
// with every field that is set; the zero Filter matches every message.
type Filter struct {
	Kind    Kind     `json:"kind,omitzero"`
	Type    string   `json:"type,omitempty"`
	Channel string   `json:"channel,omitempty"`
	Role    RoleName `json:"role,omitempty"` // the sending role
	Node    NodeName `json:"node,omitempty"` // the sending node
}

// Match says whether the filter wants m.
func (f *Filter) Match(m *Message) bool {
	return (f.Kind == AnyKind || f.Kind == m.Kind) &&
		(f.Type == "" || f.Type == m.Type) &&
		(f.Channel == "" || f.Channel == m.Channel) &&
		(f.Role == "" || f.Role == m.From.Role) &&
		(f.Node == "" || f.Node == m.From.Node)
}

// Check says whether a message can match the filter at all: the error is that of
// a kind, a type or channel, or a name that no message has.
func (f *Filter) Check() error {
	switch {
	case f.Kind != AnyKind && !f.Kind.Valid():
		return ErrKind
	case len(f.Type) > MaxField || len(f.Channel) > MaxField:
		return ErrField
	case !utf8.ValidString(f.Type) || !utf8.ValidString(f.Channel):
		return ErrFieldText
	}
	for _, name := range []string{string(f.Role), string(f.Node)} {
		if name == "" {
			continue
		}
		if err := CheckName(name); err != nil {
			return fmt.Errorf("%.80q cannot be the name of a role or a node: %w", name, err)
		}
	}
	return nil
}

// String writes the filter as [ParseFilter] reads it. It writes a type or channel
// as it is: one that would mean something else there, such as a type with a
// colon, is for people only.
func (f Filter) String() string {
	part := func(s string) string {
		if s == "" {
			return "*"
		}
		return s
	}
	s := part(f.Kind.String())
	if f.Type != "" || f.Channel != "" {
		s += ":" + part(f.Type)
	}
	if f.Channel != "" {
		s += ":" + f.Channel
	}
	if f.Role != "" || f.Node != "" {
		s += " from " + part(string(f.Role)) + "@" + part(string(f.Node))
	}
	return s
}

// ParseFilter reads a filter from KIND[:TYPE[:CHANNEL]] and, after "from",
// ROLE, ROLE@NODE or @NODE, where "*" or nothing stands for any: "event:tick",
// "order", "* from timer1", "log:warn from @clock".
func ParseFilter(s string) (Filter, error) {
	var f Filter
	what, from, hasFrom := strings.Cut(" "+s+" ", " from ")
	part := func(s string) string {
		if s = strings.TrimSpace(s); s == "*" {
			return ""
		}
		return s
	}
	parts := append(strings.SplitN(what, ":", 3), "", "")
	if err := f.Kind.UnmarshalText([]byte(part(parts[0]))); err != nil {
		return Filter{}, err
	}
	f.Type, f.Channel = part(parts[1]), part(parts[2])
	if !hasFrom {
		return f, nil
	}
	if from = strings.TrimSpace(from); from == "" {
		return Filter{}, fmt.Errorf("expected ROLE, ROLE@NODE or @NODE after \"from\"")
	}
	role, node, _ := strings.Cut(from, "@")
	f.Role, f.Node = RoleName(part(role)), NodeName(part(node))
	for _, name := range []string{string(f.Role), string(f.Node)} {
		if name == "" {
			continue
		}
		if err := CheckName(name); err != nil {
			return Filter{}, fmt.Errorf("%q after \"from\" is not ROLE, ROLE@NODE or @NODE: %w", from, err)
		}
	}
	return f, nil
}
