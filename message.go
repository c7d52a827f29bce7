package kozo

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Kind is the kind of a message.
type Kind uint8

// The kinds of messages.
const (
	AnyKind Kind = iota // in filters only: every kind
	Event               // something happened
	Order               // somebody should do something
	Log                 // a line for people; its type is its level
)

var kindNames = [...]string{"", "event", "order", "log"}

// String returns event, order or log.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Valid says whether a message can have this kind.
func (k Kind) Valid() bool { return k >= Event && k <= Log }

// MarshalText writes the word that [Kind.String] returns.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads event, order or log, and nothing for [AnyKind].
func (k *Kind) UnmarshalText(text []byte) error {
	for i, n := range kindNames {
		if n == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not a kind of message; use event, order or log", text)
}

// The usual types of log messages: their levels.
const (
	Info  = "info"
	Warn  = "warn"
	Error = "error"
)

// MaxField is the longest type or channel of a message, in bytes.
const MaxField = 255

// Message is what roles send each other. A message is immutable once sent:
// one value, and one Body, is shared by all roles of a node that receive it.
type Message struct {
	Kind    Kind
	Type    string    // what happened or what to do: "tick"; at most MaxField bytes of UTF-8
	Channel string    // optional sub-address: which of many should feel addressed; at most MaxField bytes of UTF-8
	From    RoleRef   // who sent it; set by the node, whatever the sender wrote
	Time    time.Time // when it was sent, by the sender's clock; set by the node
	Seq     uint64    // counts the messages of its sender from 1 since that node started; set by the node
	Body    Body      // the content; empty means none
}

// Errors of [Message.Check].
var (
	ErrKind      = errors.New("the kind of a message is event, order or log")
	ErrType      = errors.New("an event or an order needs a type")
	ErrField     = fmt.Errorf("the type or channel of a message has more than %d bytes", MaxField)
	ErrFieldText = errors.New("the type or channel of a message is not valid UTF-8")
)

// Check says whether a message can be sent as it is; of the body it knows
// nothing, see [Body.Check]. Types and channels may contain anything that is
// text, line breaks included: who shows them uses [Printable].
func (m *Message) Check() error {
	switch {
	case !m.Kind.Valid():
		return ErrKind
	case m.Type == "" && m.Kind != Log:
		return ErrType
	case len(m.Type) > MaxField || len(m.Channel) > MaxField:
		return ErrField
	case !utf8.ValidString(m.Type) || !utf8.ValidString(m.Channel):
		return ErrFieldText
	}
	return nil
}

// NewEvent makes an event. The error is that of [Pack].
func NewEvent(typ string, data any) (Message, error) {
	body, err := Pack(data)
	return Message{Kind: Event, Type: typ, Body: body}, err
}

// NewOrder makes an order for the roles that listen on channel; an empty
// channel addresses all that accept the type. The error is that of [Pack].
func NewOrder(typ, channel string, data any) (Message, error) {
	body, err := Pack(data)
	return Message{Kind: Order, Type: typ, Channel: channel, Body: body}, err
}

// NewLog makes a log message of a level, usually [Info], [Warn] or [Error].
func NewLog(level, text string) Message {
	body, err := Pack(text)
	if err != nil { // a string always packs
		panic(err)
	}
	return Message{Kind: Log, Type: level, Body: body}
}

// messageJSON is the form in which people and programs see a message.
type messageJSON struct {
	Kind    Kind            `json:"kind"`
	Type    string          `json:"type,omitempty"`
	Channel string          `json:"channel,omitempty"`
	Node    NodeName        `json:"node,omitempty"`
	Role    RoleName        `json:"role,omitempty"`
	Time    *time.Time      `json:"time,omitempty"`
	Seq     uint64          `json:"seq,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// MarshalJSON writes the message with its content as "data". Content that JSON
// does not have is written as the closest thing: bytes as base64, a number that
// is not finite as a string.
func (m Message) MarshalJSON() ([]byte, error) {
	j := messageJSON{
		Kind: m.Kind, Type: m.Type, Channel: m.Channel,
		Node: m.From.Node, Role: m.From.Role, Seq: m.Seq,
	}
	if !m.Time.IsZero() {
		t := m.Time.Round(0)
		j.Time = &t
	}
	if len(m.Body) > 0 {
		data, err := m.Body.MarshalJSON()
		if err != nil {
			return nil, err
		}
		j.Data = data
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON writes. Unknown fields are ignored.
func (m *Message) UnmarshalJSON(text []byte) error {
	var j messageJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*m = Message{
		Kind: j.Kind, Type: j.Type, Channel: j.Channel,
		From: RoleRef{Node: j.Node, Role: j.Role}, Seq: j.Seq,
	}
	if j.Time != nil {
		m.Time = *j.Time
	}
	if len(j.Data) == 0 {
		return nil
	}
	return m.Body.UnmarshalJSON(j.Data)
}
