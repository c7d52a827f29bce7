package kozo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
)

// Role is a task that a node runs.
//
// Run works until ctx is done and then returns soon; what it sends while
// returning is still delivered. Returning nil before that means that the role
// has finished its work for good. An error or a panic is reported, and after a
// pause a new instance of the role is made and run; its inbox, what it stored
// and its name stay. Run may start goroutines if they end before it does.
type Role interface {
	Run(ctx context.Context, env *Env) error
}

// Interested is implemented by roles that want messages.
type Interested interface {
	// Interest returns what the role wants. It must depend on the options of
	// the role alone, since every node computes it from the configuration for
	// the roles of all nodes. A role that learns later what it wants uses
	// [Env.SetInterest].
	Interest() []Filter
}

// Publisher is implemented by roles that know beforehand what they send, so
// that a subscription to which nobody publishes can be found before anything
// runs. The log messages that any role may send need not be declared. A role
// that is not a Publisher may send anything.
type Publisher interface {
	// Publishes returns a filter for each sort of message that the role sends;
	// like Interest it depends on the options alone.
	Publishes() []Filter
}

// Limits bounds a queue of messages.
type Limits struct {
	Length int  // messages
	Size   Size // bytes
}

// InboxLimiter is implemented by roles that choose the bounds of their own
// inbox.
type InboxLimiter interface {
	// InboxLimits returns the bounds to use. configured holds messageQueueLength
	// and messageQueueSize, zero where the configuration does not say.
	InboxLimits(configured Limits) Limits
}

// Env is what a role is given to work with. All of it may be used from several
// goroutines at once, until Run returns.
type Env struct {
	Self RoleRef

	// Inbox holds the messages that the role wants and has not taken yet. It is
	// bounded, and drops its oldest message for a new one.
	Inbox Inbox

	// Send sends a message to every other role that wants it, on every node
	// that it can be sent to, the own node included. It never blocks. Kind,
	// Type, Channel and Body are the role's; the node fills in the rest. The
	// error says that the message is not one ([Message.Check], [Body.Check])
	// and was not sent.
	Send func(Message) error

	// SetInterest replaces what the role wants from now on, on all nodes. It
	// still holds when a new instance of the role is run after a failure. A
	// filter that no message can match ([Filter.Check]) is left out.
	SetInterest func([]Filter)

	// Storage keeps one value for the role across restarts of the node.
	Storage Storage

	// Out is what the role has to say to the person who runs the node: the
	// standard output. Each Write is printed as a whole. If nobody takes it, lines
	// are lost and counted in the log of the node; a Write waits a second at most.
	Out io.Writer

	// Log is for what the operator of the node should know. It already names
	// the role.
	Log *slog.Logger

	// Reopen gets a value when files should be closed and opened again, since
	// somebody has moved them away (SIGHUP).
	Reopen <-chan struct{}

	// Inspect is the node seen from inside; nil unless the type asks for it.
	Inspect *Inspect

	// Account returns a consistent account of the messages of the role.
	Account func() Account

	// Lost is for roles that pass messages on to somebody else, a program for
	// instance: so many messages that were taken from the inbox have not got
	// there. They count as dropped for this cause, and not as taken.
	Lost func(cause Cause, messages uint64)
}

// Account accounts for the messages of a role since the node started, whatever
// instance of the role took them: Offered = Taken + Queued + the sum of Dropped.
type Account struct {
	Offered uint64           // put into the inbox
	Taken   uint64           // by the role
	Queued  uint64           // in the inbox now
	Dropped map[Cause]uint64 // causes with nothing left out
	Sent    uint64           // by the role
}

// Inbox is a queue of messages for one role.
type Inbox interface {
	// Receive takes the oldest message, waiting for one if there is none. The
	// only error is that of ctx.
	Receive(ctx context.Context) (Message, error)

	// TryReceive takes the oldest message if there is one.
	TryReceive() (Message, bool)

	// Ready returns a channel that gets a value when a message arrives in an
	// empty inbox. Who wakes up by it calls TryReceive until there is no more.
	Ready() <-chan struct{}
}

// Messages returns the messages of the inbox one after the other, until ctx is
// done.
func (e *Env) Messages(ctx context.Context) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for {
			m, err := e.Inbox.Receive(ctx)
			if err != nil || !yield(m) {
				return
			}
		}
	}
}

// Event sends an event. data is anything that [Pack] takes.
func (e *Env) Event(typ string, data any) error {
	m, err := NewEvent(typ, data)
	if err != nil {
		return err
	}
	return e.Send(m)
}

// Order sends an order for the roles that listen on channel; an empty channel
// addresses all that accept the type. data is anything that [Pack] takes.
func (e *Env) Order(typ, channel string, data any) error {
	m, err := NewOrder(typ, channel, data)
	if err != nil {
		return err
	}
	return e.Send(m)
}

// Logf sends a log message of a level ([Info], [Warn], [Error]) through the
// network, for the logger roles of all nodes. What only the operator of this
// node should know goes to Log instead.
func (e *Env) Logf(level, format string, args ...any) error {
	return e.Send(NewLog(level, fmt.Sprintf(format, args...)))
}

// Errors of Storage.
var (
	// ErrNoValue means that nothing was stored yet.
	ErrNoValue = errors.New("nothing is stored")
	// ErrNoStorage means that the node has no roleStorage.
	ErrNoStorage = errors.New("the node has no roleStorage")
)

// Storage keeps one value for a role.
type Storage interface {
	// Load reads the stored value into v as encoding/json does. The error is
	// ErrNoValue if there is none, ErrNoStorage if the node stores nothing.
	Load(v any) error

	// Save replaces the stored value, written as encoding/json does. When it
	// returns nil the value is on the disk; when it fails, or the machine stops
	// at any moment, the old value or the new one is there whole.
	Save(v any) error
}

// RoleType is a kind of role: what the type of a role block names.
type RoleType struct {
	Name         string
	Doc          string // what it does, for people: a sentence or two
	NeedsStorage bool   // refuse to run on a node without roleStorage
	Inspects     bool   // give it Env.Inspect
	Helper       Helper // for Inspect.Helper, or nil
	Options      []Option

	// FreeForm, if it is not empty, says for people why nothing is known about
	// the options. Then Options is empty, and every option that a block has is
	// taken, as of type [TypeAny].
	FreeForm string

	// LateInterest says that a role tells only when it runs what it wants. Other
	// nodes send it everything until they hear from it.
	LateInterest bool

	// New makes a role from the values of its options. It does nothing else:
	// no files, no network, no goroutines, since it runs on every node for the
	// roles of all nodes. An *OptionError says which option is at fault.
	New func(Values) (Role, error)
}

// DefineRole makes a RoleType of a struct with options (see [Option]) and a
// function that makes a role from it, on the terms of [RoleType].New. It panics
// if the struct is not one with valid tags, which is a mistake in the program.
func DefineRole[O any](name, doc string, make func(O) (Role, error)) RoleType {
	return RoleType{
		Name: name, Doc: doc, Options: optionsOf[O](),
		New: func(v Values) (Role, error) {
			o, err := decode[O](v)
			if err != nil {
				return nil, err
			}
			return make(o)
		},
	}
}
