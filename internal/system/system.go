// Package system holds the validated meaning of a configuration file: the nodes,
// their settings, roles and transports, and what follows from them for every
// ordered pair of nodes. Its values are plain: nothing in it does input or
// output, and none of it changes after it was built.
package system

import (
	"time"

	"kozo"
)

// Settings are the root-level options of the configuration. Every node has its
// own copy, in which overrideMainConfiguration has replaced some.
type Settings struct {
	Heartbeat           time.Duration `option:"heartbeat" default:"10" min:"0.1" max:"3600" doc:"Time between two heartbeats on every connection. A connection on which nothing comes back is given up before the third."`
	ConnectionRetry     time.Duration `option:"connectionRetry" default:"60" min:"0.1" max:"86400" doc:"Longest pause between two attempts to reach a node. The first attempts after a disconnection come much sooner."`
	OutgoingQueueLength int           `option:"outgoingQueueLength" default:"128" min:"1" max:"16777216" doc:"Most messages that wait for one other node. A newer one pushes the oldest out."`
	OutgoingQueueSize   kozo.Size     `option:"outgoingQueueSize" default:"4MiB" min:"1KiB" max:"1GiB" doc:"Most bytes of messages that wait for one other node. No message can be larger than this. As much again, but at most 2 MiB, is kept of what is on its way, to be sent again after a cut."`
	OutgoingQueueAge    time.Duration `option:"outgoingQueueAge" default:"" min:"0" max:"86400" doc:"Longest time that a message waits for its connection before it is dropped. Applies after a cut to what was on its way, too. The same as connectionRetry if it is not given, but at least three heartbeats, and longer where it takes long to connect, as over Tor."`
	MaxBufferReadSize   kozo.Size     `option:"maxBufferReadSize" default:"64KiB" min:"512" max:"16MiB" doc:"Most bytes to read from a connection at a time. Each read has its own time limit, so the time that a message may take grows with its size in units of this."`
	Cipher              kozo.List     `option:"cipher" default:"aes256-gcm@openssh.com, aes128-gcm@openssh.com, chacha20-poly1305@openssh.com, aes256-ctr" doc:"Ciphers, by their SSH names, best first. Two nodes use the first one of the dialling node that both have."`
	HMAC                kozo.List     `option:"hmac" default:"hmac-sha2-256-etm@openssh.com, hmac-sha2-512-etm@openssh.com, hmac-sha2-256, hmac-sha1" doc:"Message authentication codes, by their SSH names, best first. Ciphers that authenticate by themselves (gcm, poly1305) do not use one."`
	RolePath            kozo.Paths    `option:"rolePath" default:"" doc:"Directories with programs that are roles, one file for each type: TYPE or TYPE.*, for instance doorbell.py. The environment variable KOZOROLEPATH adds some."`
	TransportPath       kozo.Paths    `option:"transportPath" default:"" doc:"Directories with programs that are transports, one file for each type, as in rolePath. The environment variable KOZOTRANSPORTPATH adds some."`
	ImportPath          kozo.Paths    `option:"importPath" default:"" doc:"Directories that come first where such programs look for modules and other programs (PYTHONPATH, NODE_PATH, PATH). The environment variable KOZOIMPORTPATH adds some."`
}

// QueueAge is the effective outgoingQueueAge. What is on its way when a connection
// dies silently must be there still when that is noticed.
func (s Settings) QueueAge() time.Duration {
	if s.OutgoingQueueAge > 0 {
		return s.OutgoingQueueAge
	}
	return max(s.ConnectionRetry, 3*s.Heartbeat)
}

// NodeOptions are the plain options of a node block.
type NodeOptions struct {
	PrivateKey   kozo.Path `option:"privateKey" doc:"File with the private SSH key of the node. Only the node itself has it."`
	PublicKey    string    `option:"publicKey" doc:"Public half of the key, as in the .pub file that ssh-keygen and kozo keygen write."`
	RoleStorage  kozo.Path `option:"roleStorage" default:"" doc:"Directory in which the roles of the node keep what they must remember. Required if one of them needs it."`
	SelfToOthers string    `option:"selfToOthersConnectPolicy" default:"constant" oneof:"constant,ondemand,never" doc:"When this node connects to others."`
	OthersToSelf string    `option:"othersToSelfConnectPolicy" default:"constant" oneof:"constant,ondemand,never" doc:"When others connect to this node."`
}

// RoleOptions are the options that every role block has beside its own.
type RoleOptions struct {
	Type               string    `option:"type" default:"" doc:"Type of the role. The name of the block if it is not given."`
	Description        string    `option:"description" default:"" doc:"What the role is for. For people only."`
	MessageQueueLength int       `option:"messageQueueLength" default:"0" min:"0" max:"16777216" doc:"Most messages that wait in the inbox of the role; 0 means the default, 1024. A newer one pushes the oldest out."`
	MessageQueueSize   kozo.Size `option:"messageQueueSize" default:"0" min:"0" max:"1GiB" doc:"Most bytes of messages that wait in the inbox of the role; 0 means the default, 8MiB."`
}

// The bounds of an inbox for which neither the file nor the role says any.
const (
	DefaultInboxLength           = 1024
	DefaultInboxSize   kozo.Size = 8 << 20
)

// TransportOptions are the options that every transport block has beside its
// own.
type TransportOptions struct {
	Type string `option:"type" default:"" doc:"Type of the transport. The name of the block if it is not given."`
}

// System is what a configuration file describes.
type System struct {
	Settings Settings
	Nodes    []*Node // in the order of the file

	// Digest has a short digest of each block: "heartbeat", "system.clock". It
	// depends on the meaning of the file, not on its comments or its layout.
	// Nodes compare theirs and name the blocks that differ.
	Digest map[string]string
}

// Node returns the node with a name, or nil.
func (s *System) Node(name kozo.NodeName) *Node {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// MaxMessage is the size of the largest message that any node of the system can
// send, in bytes.
func (s *System) MaxMessage() int {
	most := s.Settings.OutgoingQueueSize
	for _, n := range s.Nodes {
		most = max(most, n.Settings.OutgoingQueueSize)
	}
	return int(most)
}

// Node is a machine of the system.
type Node struct {
	Name         kozo.NodeName
	PrivateKey   string // path
	PublicKey    string // one line, as in the file
	RoleStorage  string // path, or empty
	SelfToOthers kozo.Policy
	OthersToSelf kozo.Policy
	Settings     Settings // overrideMainConfiguration applied
	Roles        []*Role
	Transports   []*Transport
}

// Role returns the role with a name, or nil.
func (n *Node) Role(name kozo.RoleName) *Role {
	for _, r := range n.Roles {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Role is a role of a node.
type Role struct {
	Name        kozo.RoleName
	Type        string
	Description string
	Known       bool // the type is known here; if not, all below is empty
	Limits      kozo.Limits
	Options     []kozo.Option // that the type has
	Values      kozo.Values
	Secret      []string // names of the options that are not to be shown
	Inspects    bool     // it is given a view into the node
	Interest    []kozo.Filter
	Late        bool // what it wants is known only when it runs

	// Publishes has the filters of a kozo.Publisher; Declares says that the
	// role is one.
	Publishes []kozo.Filter
	Declares  bool

	// New makes a fresh instance.
	New func() (kozo.Role, error)
}

// Wants returns what a role wants as far as the configuration tells: everything
// if it does not.
func (r *Role) Wants() []kozo.Filter {
	if !r.Known || r.Late {
		return []kozo.Filter{{}}
	}
	return r.Interest
}

// Transport is a transport of a node.
type Transport struct {
	Name      string
	Type      string
	Options   []kozo.Option // that the type has
	Values    kozo.Values
	Known     bool // the type is known here; if not, there is nothing else
	New       func(kozo.Values) (kozo.Transport, error)
	Transport kozo.Transport // describes how to reach the node; dials and listens on it
}

// Secured says whether the transport brings its own encryption.
func (t *Transport) Secured() bool {
	_, ok := t.Transport.(kozo.Secured)
	return ok
}

// Remote describes the transport, which is one of a node, to the transports of
// other nodes.
func (t *Transport) Remote(of kozo.NodeName) kozo.Remote {
	return kozo.Remote{Node: of, Name: t.Name, Type: t.Type, Values: t.Values, Transport: t.Transport}
}
