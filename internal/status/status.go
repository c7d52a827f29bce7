// Package status holds snapshots of a running node, for people and for JSON. It
// is a leaf: everything may report with it, and it knows nobody.
package status

import "time"

// Node is a snapshot of a node.
type Node struct {
	Name       string      `json:"name"`
	Version    string      `json:"version"`
	PID        int         `json:"pid"`
	Since      time.Time   `json:"since"`
	Now        time.Time   `json:"now"` // when the snapshot was taken
	Config     string      `json:"config"`
	Links      []Link      `json:"links"`
	Roles      []Role      `json:"roles"`
	Transports []Transport `json:"transports"`
	Strangers  []Stranger  `json:"strangers,omitempty"`
}

// Link is a snapshot of what connects the node with one peer: the link to it,
// and what arrives from it.
type Link struct {
	Peer   string `json:"peer"`
	Policy string `json:"policy"`

	// State is "up", "dialling", "waiting" (for the next attempt), "idle" (on
	// demand, with nothing to send), "listening" (it can only ride on a
	// connection of the peer) or "off" (the policy is never).
	State     string     `json:"state"`
	Transport string     `json:"transport,omitempty"`
	Endpoint  string     `json:"endpoint,omitempty"`
	Rides     bool       `json:"rides,omitempty"` // uses a connection that the peer made
	Since     *time.Time `json:"since,omitempty"` // of the state "up", or of being down

	RoundTrip float64 `json:"round_trip,omitempty"` // seconds
	Skew      float64 `json:"skew,omitempty"`       // seconds by which the peer's clock is ahead

	Reason      string     `json:"reason,omitempty"` // why it is down
	NextAttempt *time.Time `json:"next_attempt,omitempty"`
	Connects    uint64     `json:"connects"` // connections so far
	Targets     []Target   `json:"targets,omitempty"`

	PeerVersion string   `json:"peer_version,omitempty"`
	Drift       []string `json:"drift,omitempty"` // blocks in which the peer's configuration differs

	Out Ledger  `json:"out"`
	In  Inbound `json:"in"`
}

// Target is one way to dial a peer, and how the last attempt went.
type Target struct {
	Transport string     `json:"transport"`
	Endpoint  string     `json:"endpoint"`
	Tried     *time.Time `json:"tried,omitempty"`
	Error     string     `json:"error,omitempty"` // of the last attempt; empty if it succeeded
}

// Ledger accounts for what was to go out. Sent = Delivered + Queued + InFlight +
// the sum of Dropped, at any moment.
type Ledger struct {
	Sent      uint64            `json:"sent"`
	Delivered uint64            `json:"delivered"` // confirmed by the receiver
	Queued    uint64            `json:"queued"`
	InFlight  uint64            `json:"in_flight"` // written, not confirmed; sent again if the connection ends
	Dropped   map[string]uint64 `json:"dropped,omitempty"`
}

// Balanced says whether the ledger adds up.
func (l Ledger) Balanced() bool {
	return l.Sent == l.Delivered+l.Queued+l.InFlight+Sum(l.Dropped)
}

// Inbound accounts for what came in from a peer. Received = Accepted + the sum
// of Dropped.
type Inbound struct {
	Connected bool              `json:"connected"`
	Since     *time.Time        `json:"since,omitempty"`
	Received  uint64            `json:"received"`
	Accepted  uint64            `json:"accepted"` // given to at least one role
	Dropped   map[string]uint64 `json:"dropped,omitempty"`
}

// Balanced says whether the account adds up.
func (i Inbound) Balanced() bool { return i.Received == i.Accepted+Sum(i.Dropped) }

// Role is a snapshot of a role of the node.
type Role struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	State    string `json:"state"` // "running", "waiting" (to be restarted), "done" or "stopped"
	Restarts int    `json:"restarts"`
	Error    string `json:"error,omitempty"` // the last one
	Sent     uint64 `json:"sent"`            // messages that the role has sent
	Inbox    Inbox  `json:"inbox"`

	// Note is set when the role seems not to read its inbox.
	Note string `json:"note,omitempty"`
}

// Inbox accounts for the messages of a role. Offered = Taken + Queued + the sum
// of Dropped, at any moment.
type Inbox struct {
	Offered uint64            `json:"offered"`
	Taken   uint64            `json:"taken"`
	Queued  uint64            `json:"queued"`
	Bytes   uint64            `json:"bytes"` // of what is queued
	Dropped map[string]uint64 `json:"dropped,omitempty"`
}

// Balanced says whether the account adds up.
func (i Inbox) Balanced() bool { return i.Offered == i.Taken+i.Queued+Sum(i.Dropped) }

// Transport is a snapshot of a transport of the node.
type Transport struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Listens string `json:"listens,omitempty"` // the address, when it does
	Error   string `json:"error,omitempty"`   // why it does not, and will be tried again
}

// Stranger is somebody who dialled in and was not let in.
type Stranger struct {
	Address string    `json:"address"`
	Name    string    `json:"name,omitempty"` // the node that it said it is
	Key     string    `json:"key,omitempty"`  // the public key that it showed
	Reason  string    `json:"reason"`
	Count   int       `json:"count"`
	Last    time.Time `json:"last"`
}

// Sum adds up counts.
func Sum(counts map[string]uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}
