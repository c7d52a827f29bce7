package wire

import (
	"math"
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
	} else {
		b = append(b, m.Body...)
	}
	return end(b, start, room)
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
	const what = "message"
	var m kozo.Message
	d := decoder{b: payload}
	n := d.fields(messageFields)
	kind := d.uint()
	if m.Kind = kozo.Kind(min(kind, math.MaxUint8)); d.err == nil && !m.Kind.Valid() {
		d.fail(ErrRange)
	}
	if d.err != nil {
		return kozo.Message{}, d.wrap(what, "kind")
	}
	m.From.Role = kozo.RoleName(names.read(&d, kozo.MaxName))
	if d.err == nil && m.From.Role == "" {
		d.fail(ErrRange)
	}
	if d.err != nil {
		return kozo.Message{}, d.wrap(what, "role")
	}
	m.Type = names.read(&d, kozo.MaxField)
	if d.err == nil && m.Type == "" && m.Kind != kozo.Log {
		d.fail(ErrRange)
	}
	if d.err != nil {
		return kozo.Message{}, d.wrap(what, "type")
	}
	if m.Channel = names.read(&d, kozo.MaxField); d.err != nil {
		return kozo.Message{}, d.wrap(what, "channel")
	}
	if len(d.b) > 0 && d.b[0] == packedNil {
		d.b = d.b[1:]
	} else {
		m.Time = time.Unix(0, d.int())
	}
	if d.err != nil {
		return kozo.Message{}, d.wrap(what, "time")
	}
	if m.Seq = d.uint(); d.err != nil {
		return kozo.Message{}, d.wrap(what, "sequence number")
	}
	body := d.b
	d.skip(1)
	if d.err != nil {
		return kozo.Message{}, d.wrap(what, "body")
	}
	body = body[: len(body)-len(d.b) : len(body)-len(d.b)]
	if d.finish(n - messageFields); d.err != nil {
		return kozo.Message{}, d.wrap(what, "end")
	}
	if len(body) == 1 && body[0] == packedNil {
		return m, nil
	}
	m.Body = body
	if err := m.Body.Check(); err != nil {
		d.fail(err)
		return kozo.Message{}, d.wrap(what, "body")
	}
	return m, nil
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
