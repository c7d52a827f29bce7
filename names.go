package kozo

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// NodeName names a node of the system. It is unique in the system.
type NodeName string

// RoleName names a role of a node. It is unique on its node only.
type RoleName string

// NodeRole is the name of the role under which the node itself speaks: what
// a person sends with "kozo send" comes from it. No role of the configuration
// can have this name.
const NodeRole RoleName = "kozo"

// RoleRef identifies a role in the system.
type RoleRef struct {
	Node NodeName
	Role RoleName
}

// String prints the reference as role@node.
func (r RoleRef) String() string { return string(r.Role) + "@" + string(r.Node) }

// MaxName is the longest name of a node, role or transport, in bytes.
const MaxName = 64

// CheckName says whether s can name a node, a role or a transport: 1 to
// [MaxName] bytes of letters, digits, '-', '_' and '.', beginning with a letter,
// a digit or '_'. The error says what is wrong with it.
func CheckName(s string) error {
	if s == "" {
		return fmt.Errorf("a name cannot be empty")
	}
	if len(s) > MaxName {
		return fmt.Errorf("the name has %d bytes; at most %d are allowed", len(s), MaxName)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("the name is not valid UTF-8")
	}
	for i, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' {
			continue
		}
		if i > 0 && strings.ContainsRune("-.", r) {
			continue
		}
		if i == 0 {
			return fmt.Errorf("a name begins with a letter, a digit or '_', not with %q", r)
		}
		return fmt.Errorf("a name has only letters, digits, '-', '_' and '.', not %q", r)
	}
	return nil
}

// Policy says when a connection between two nodes should be attempted.
// Policies are ordered: the greater one wins.
type Policy uint8

// The policies of a node, for the links it has (selfToOthersConnectPolicy) and
// for the links that others have to it (othersToSelfConnectPolicy).
const (
	Constant Policy = iota // kept up at all times
	OnDemand               // brought up when there is a message to send
	Never                  // not brought up
)

var policyNames = [...]string{"constant", "ondemand", "never"}

// String returns the word of the configuration file.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("policy(%d)", uint8(p))
}

// MarshalText writes the word of the configuration file.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the word of the configuration file.
func (p *Policy) UnmarshalText(text []byte) error {
	for i, n := range policyNames {
		if n == string(text) {
			*p = Policy(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not a policy; use constant, ondemand or never", text)
}

// Combine returns the policy of the link from a node whose
// selfToOthersConnectPolicy is p to one whose othersToSelfConnectPolicy is
// other: the more reluctant of the two.
func (p Policy) Combine(other Policy) Policy { return max(p, other) }

// Cause says why a message was dropped.
type Cause string

// The causes. Each dropped message counts under exactly one of them.
const (
	QueueFull   Cause = "queue full"  // pushed out of a link's outbox by newer messages
	Expired     Cause = "expired"     // waited longer than outgoingQueueAge for its link
	Oversize    Cause = "oversize"    // larger than the queue that it was meant for
	Cut         Cause = "cut"         // on its way when the peer went and was not back in time, or was started again; or when the node ended
	InboxFull   Cause = "inbox full"  // pushed out of a role's inbox by newer messages
	Undecodable Cause = "undecodable" // does not follow the message format
	Refused     Cause = "refused"     // not allowed by policy, from a role that the sender does not have, or wanted by no role
)

// Causes lists every cause, in the order in which people read them.
func Causes() []Cause {
	return []Cause{QueueFull, Expired, Oversize, Cut, InboxFull, Undecodable, Refused}
}
