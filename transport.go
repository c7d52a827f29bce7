package kozo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Transport moves bytes between two nodes, and nothing more: encryption and
// authentication are put on top. A Transport stands for one transport block of
// one node. The instance of the own node dials and listens; those of the peers
// only say how they can be reached.
//
// Its connections are used as those of TCP are. Deadlines hold for calls that
// are under way, and their errors are os.ErrDeadlineExceeded. Close ends calls
// that are under way, and what was written before it arrives. Whoever writes is
// held up when nobody reads. The addresses of a connection are never nil.
// kozotest.TestTransport tries all of this.
type Transport interface {
	// Endpoints returns the addresses at which others can dial this transport,
	// best first. It is called for the transports of all nodes and must depend
	// on the options alone. A transport without endpoints only dials.
	Endpoints() []string

	// Dial connects to an endpoint of a peer's transport. The connection must
	// be closed if ctx ends before Dial returns. The context has a deadline.
	// Several goroutines may dial at once, also to endpoints of the same peer.
	Dial(ctx context.Context, env *TransportEnv, endpoint string) (net.Conn, error)

	// Listen begins to accept connections. It is called only if there are
	// endpoints. Several goroutines may accept at once. ctx bounds the call,
	// not the life of the listener, which ends when it is closed.
	Listen(ctx context.Context, env *TransportEnv) (net.Listener, error)
}

// Connector is implemented by transports that can dial others than those of
// their own type, or not all of these.
type Connector interface {
	// CanConnect says whether this transport can dial the remote one.
	CanConnect(remote Transport) bool
}

// Remote is a transport of another node, as the configuration describes it.
type Remote struct {
	Node      NodeName
	Name      string // of the block
	Type      string
	Values    Values // of its options
	Transport Transport
}

// Seeker is implemented by transports that need to know whom they dial, and not
// only where. It takes the place of Connector and of Dial.
type Seeker interface {
	// CanSeek says whether this transport can dial the remote one. It depends on
	// the options alone.
	CanSeek(remote Remote) bool

	// Seek is Dial; endpoint is one of the remote transport.
	Seek(ctx context.Context, env *TransportEnv, remote Remote, endpoint string) (net.Conn, error)
}

// Secured is implemented by transports that bring their own encryption and
// authentication. Kōzō does not put SSH on top of their connections, and relies
// on what they say. Both sides must be of a type that is Secured.
//
// Such a connection carries what one node sends, and not what it gets, as one of
// Kōzō's own can: a node that cannot be dialled hears from nobody over it.
type Secured interface {
	// Secure does the handshake on a connection that this transport has dialled
	// (remote is whom) or accepted (remote is nil), and proves which node is at
	// the other end, which is one of those in env.Peers. What is sent on the
	// connection that it returns must be encrypted, and nobody may be able to
	// change it. The connection passed is closed if it fails, or if ctx, which
	// has a deadline, is done before it returns.
	Secure(ctx context.Context, env *TransportEnv, conn net.Conn, remote *Remote) (net.Conn, NodeName, error)
}

// Runner is implemented by transports that need something to run on their node
// all the time: another program, or a connection to one.
type Runner interface {
	// Run works until ctx is done. What it returns before that is shown to
	// people, and it is run again after a pause. Dial and Listen may be called
	// at any time; those for which it is too early wait, or fail.
	Run(ctx context.Context, env *TransportEnv) error
}

// Prioritized is implemented by transports whose priority is not [Fair].
type Prioritized interface {
	Priority() Priority
}

// Timed is implemented by transports that need other limits of time than a local
// network does.
type Timed interface {
	// Times returns the limits for connections to an endpoint of a peer's
	// transport, or, if it is empty, for those that are accepted.
	Times(endpoint string) Times
}

// Times are limits of time for the connections of a transport. One that is 0
// stands for the usual one.
type Times struct {
	Dial      time.Duration // to connect, the handshake included; usually 10 s; after a tenth without an answer others are tried too
	Handshake time.Duration // for each side to prove who it is, and to say hello; usually 10 s

	// Silence is for how long nothing may arrive at the least before a
	// connection is given up. Usually the heartbeat alone decides.
	Silence time.Duration
}

// TimesOf returns the limits of a transport for an endpoint.
func TimesOf(t Transport, endpoint string) Times {
	if timed, ok := t.(Timed); ok {
		return timed.Times(endpoint)
	}
	return Times{}
}

// Binder is implemented by transports and roles that take something on their
// machine which only one can have.
type Binder interface {
	// Binds returns what is taken, for instance "tcp :9001" or
	// "tcp 127.0.0.1:9001". Networks are compared as words; an empty host
	// takes the port on all addresses.
	Binds() []string
}

// Placer is implemented by transports that need to know which block they stand
// for.
type Placer interface {
	// Place is called once, before everything else. Its errors are like those of
	// [TransportType].New.
	Place(node NodeName, transport string) error
}

// Warner is implemented by transports and roles that find something in their
// options that will work but is probably not meant.
type Warner interface {
	// Warnings depends on the options alone.
	Warnings() []*OptionError
}

// Announcer is implemented by transports with options of which only the node
// itself can know the values, since they follow from secrets that it makes.
type Announcer interface {
	// Announce returns such options and their values, to be put into the file.
	// It makes and stores the secrets if there are none. Of env it uses the
	// Storage alone. The error is ErrNothingToAnnounce if its options do not ask
	// it to make any.
	Announce(env *TransportEnv) (Values, error)
}

// ErrNothingToAnnounce is wrapped by the error of an [Announcer] whose options
// say that others look after its secrets.
var ErrNothingToAnnounce = errors.New("nothing follows from secrets of the node")

// Priority says how much a transport should be preferred. The faster and the
// more reliable, the higher.
type Priority int

// The priorities, from worst to best.
const (
	Worst Priority = iota
	Poor
	Fair // what a transport has that does not say
	Good
	Best
)

// TransportEnv is what a transport is given to work with: all its ways to the
// outside, so that a test can hand it a network in memory. It may be used from
// several goroutines at once.
type TransportEnv struct {
	Node NodeName // the own node

	// Peers are the transports of all other nodes whose types this program has,
	// in the order of the configuration. They must not be changed.
	Peers []Remote

	// Resolve looks up the addresses of a host name, again at each call, names
	// ending in .local included.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// Dial connects to an address whose host is not a name any more.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Listen binds an address. backlog bounds the connections that wait to be
	// accepted; 0 means as many as the system likes.
	Listen func(ctx context.Context, network, address string, backlog int) (net.Listener, error)

	// Storage keeps one value for the transport across restarts of the node,
	// in a file that only the user of the node can read.
	Storage Storage

	// Log is for what the operator should know. It already names the transport.
	Log *slog.Logger
}

// PriorityOf returns the priority of a transport.
func PriorityOf(t Transport) Priority {
	if p, ok := t.(Prioritized); ok {
		return p.Priority()
	}
	return Fair
}

// TransportType is a kind of transport: what the type of a transport block
// names.
type TransportType struct {
	Name     string
	Doc      string // what it is, for people: a sentence or two
	Options  []Option
	FreeForm string // as [RoleType].FreeForm

	// New makes a transport from the values of its options, on the terms of
	// [RoleType].New.
	New func(Values) (Transport, error)
}

// DefineTransport makes a TransportType as [DefineRole] makes a RoleType.
func DefineTransport[O any](name, doc string, make func(O) (Transport, error)) TransportType {
	return TransportType{
		Name: name, Doc: doc, Options: optionsOf[O](),
		New: func(v Values) (Transport, error) {
			o, err := decode[O](v)
			if err != nil {
				return nil, err
			}
			return make(o)
		},
	}
}
