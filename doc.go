// Package kozo is the vocabulary of Kōzō (構造, "structure"): a network of
// small computers in which tasks send each other messages, with no broker, no
// leader and no certificate authority.
//
// # The system in one page
//
// One YAML file describes the network, and every node holds a copy of it. A
// node is a machine with a name, an SSH key pair, roles and transports. A role
// is a task that a node runs; it sends messages and declares, with filters,
// which messages it wants. A message is an event (something happened), an
// order (please do something) or a log line. A transport moves bytes between
// two nodes and nothing more: Kōzō puts SSH on top of every one of them, so
// all traffic is encrypted and both ends are known by their keys.
//
// For every other node, its peer, a node keeps a link: the standing wish to
// have a connection. A link dials the peer's endpoints in order, over and over,
// for as long as the node runs, and holds a bounded outbox of messages that
// wait for it. A→B and B→A are two links, independent of each other.
//
//	out: Role.Run → Env.Send → router → inboxes of local roles | outboxes of links → SSH → transport
//	in:  transport → SSH → router → inboxes of local roles → Role.Run
//
// The sending node filters: a message goes straight to the nodes that have a
// role which wants it, and nowhere else. Nodes never forward messages.
//
// Delivery is best effort, and counted. For every link and for every role the
// number of messages sent is the number received plus the counted drops, by
// [Cause]. A message that was lost without a number is a bug.
//
// # Writing a role or a transport
//
// A role implements [Role]; most implement [Interested] too. A transport
// implements [Transport]. Their options are the fields of a struct with tags
// (see [Option]); that struct is the only truth for parsing, defaults, checks,
// documentation and editor support. [DefineRole] and [DefineTransport] make a
// type of them, and a [Registry] holds the types that a program has.
//
// This package imports nothing else of Kōzō, so that everything else, roles and
// transports of other people included, can import it.
package kozo
