package wire

import (
	"bytes"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"kozo"
)

// messageFields is the number of fields of a message: kind, role, type,
// channel, time, sequence number, body.
const messageFields = 7

// AppendMessage appends the frame of a message. The node of the sender is not
// in it, since the connection proves that. m must be one that [kozo.Message.Check]
// and [kozo.Body.Check] accept; from others no peer will make a message. It does
// not allocate if b has room.
func AppendMessage(b []byte, m *kozo.Message) []byte {
	b = slices.Grow(b, 64+len(m.From.Role)+len(m.Type)+len(m.Channel)+len(m.Body))
	return append(AppendHead(b, m), m.Body...)
}

// AppendHead appends the frame of a message without its body, which must follow.
// It is AppendMessage for those who do not want to copy the body.
func AppendHead(b []byte, m *kozo.Message) []byte {
	b, start, room := begin(b, TypeMessage,
		32+len(m.From.Role)+len(m.Type)+len(m.Channel)+len(m.Body))
	b = msgp.AppendArrayHeader(b, messageFields)
	b = msgp.AppendUint8(b, uint8(m.Kind))
	b = msgp.AppendString(b, string(m.From.Role))
	b = msgp.AppendString(b, m.Type)
	b = msgp.AppendString(b, m.Channel)
	if m.Time.IsZero() {
		b = msgp.AppendNil(b)
	} else {
		b = msgp.AppendInt64(b, unixNano(m.Time))
	}
	b = msgp.AppendUint64(b, m.Seq)
	if len(m.Body) == 0 {
		b = msgp.AppendNil(b)
	}
	return end(b, start, room, len(m.Body))
}

// unixNano is that of the time package without its undefined results: years
// that nanoseconds cannot express become the nearest that they can.
func unixNano(t time.Time) int64 {
	const second = int64(time.Second)
	switch s := t.Unix(); {
	case s >= math.MaxInt64/second:
		return math.MaxInt64
	case s <= math.MinInt64/second:
		return math.MinInt64
	}
	return t.UnixNano()
}

// ParseMessage parses the payload of a message frame and checks everything that
// can be checked without knowing the sender, whose node it leaves empty. The
// Body aliases payload: it must be copied if payload will be used again. Strings
// come from names, which may be nil.
func ParseMessage(payload []byte, names *Names) (kozo.Message, error) {
	var m kozo.Message
	err := names.Parse(&m, payload)
	return m, err
}

// Parse is ParseMessage into a place that there is already.
func (n *Names) Parse(m *kozo.Message, payload []byte) error {
	const what = "message"
	d := decoder{b: payload}
	fields, err := n.head(m, &d)
	if err != nil {
		*m = kozo.Message{}
		return err
	}
	part := "time"
	if len(d.b) > 0 && d.b[0] == packedNil {
		d.b = d.b[1:]
	} else {
		m.Time = time.Unix(0, d.int())
	}
	if d.err == nil {
		part = "sequence number"
		m.Seq = d.uint()
	}
	if d.err == nil {
		part = "body"
		m.Body = d.body()
	}
	if d.err == nil {
		part = "end"
		d.finish(fields - messageFields)
	}
	if d.err != nil {
		*m = kozo.Message{}
		return d.wrap(what, part)
	}
	return nil
}

// body reads a body, which is empty if it is nil.
func (d *decoder) body() kozo.Body {
	b := d.b
	d.skip(1)
	b = b[: len(b)-len(d.b) : len(b)-len(d.b)]
	if len(b) == 1 && b[0] == packedNil {
		return nil
	}
	if d.err == nil {
		if err := kozo.Body(b).Check(); err != nil {
			d.fail(err)
		}
	}
	return b
}

// Head returns the part of the payload of a message frame that says of what sort
// the message is, which is everything before its time. Messages whose payloads
// begin with the same head have the same kind, role, type and channel. It is an
// error if there is no such part.
func (n *Names) Head(payload []byte) ([]byte, error) {
	var m kozo.Message
	d := decoder{b: payload}
	if _, err := n.head(&m, &d); err != nil {
		return nil, err
	}
	return payload[:len(payload)-len(d.b)], nil
}

// head reads all before the time, and returns the number of fields. What comes
// again and again is not parsed again.
func (n *Names) head(m *kozo.Message, d *decoder) (fields int, err error) {
	const what = "message"
	if n != nil && len(n.last) > 0 && bytes.HasPrefix(d.b, n.last) {
		*m = n.sort
		d.b = d.b[len(n.last):]
		return n.fields, nil
	}
	payload := d.b
	*m = kozo.Message{}
	fields = d.fields(messageFields)
	kind := d.uint()
	if m.Kind = kozo.Kind(min(kind, math.MaxUint8)); d.err == nil && !m.Kind.Valid() {
		d.fail(ErrRange)
	}
	if d.err != nil {
		return 0, d.wrap(what, "kind")
	}
	m.From.Role = kozo.RoleName(n.read(d, kozo.MaxName))
	if d.err == nil && m.From.Role == "" {
		d.fail(ErrRange)
	}
	if d.err != nil {
		return 0, d.wrap(what, "role")
	}
	m.Type = n.read(d, kozo.MaxField)
	if d.err == nil && m.Type == "" && m.Kind != kozo.Log {
		d.fail(ErrRange)
	}
	if d.err != nil {
		return 0, d.wrap(what, "type")
	}
	if m.Channel = n.read(d, kozo.MaxField); d.err != nil {
		return 0, d.wrap(what, "channel")
	}
	if n != nil {
		n.last = append(n.last[:0], payload[:len(payload)-len(d.b)]...)
		n.sort, n.fields = *m, fields
	}
	return fields, nil
}

// packedNil is nil in MessagePack.
const packedNil = 0xc0

// Bounds of a table of names.
const (
	maxNames     = 512
	maxNameBytes = 16 << 10
)

// Names remembers the strings of the messages that came from one peer, so that
// a string which comes again needs no memory. It is bounded, whatever the peer
// sends, and it is not safe for concurrent use. The zero value is ready.
type Names struct {
	known map[string]string
	bytes int

	// What came last: a payload that begins like it is a message of that sort.
	last   []byte
	sort   kozo.Message
	fields int
}

// read reads a string that people will see.
func (n *Names) read(d *decoder, most uint64) string {
	p := d.text(most)
	if len(p) == 0 {
		return ""
	}
	if n != nil {
		if s, ok := n.known[string(p)]; ok {
			return s
		}
	}
	if !utf8.Valid(p) {
		d.fail(ErrText)
		return ""
	}
	s := string(p)
	if n == nil {
		return s
	}
	// A full table begins anew: the names in use are soon back in it, and
	// those of a peer that sends ever new ones do not stay.
	if n.known == nil || len(n.known) >= maxNames || n.bytes+len(s) > maxNameBytes {
		n.known, n.bytes = make(map[string]string), 0
	}
	n.known[s] = s
	n.bytes += len(s)
	return s
}
