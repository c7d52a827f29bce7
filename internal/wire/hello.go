package wire

import (
	"math"

	"github.com/tinylib/msgp/msgp"

	"kozo"
)

// Boot identifies one run of a node: random, chosen at each start.
type Boot [16]byte

// IsZero says whether the boot is that of nobody.
func (b Boot) IsZero() bool { return b == Boot{} }

// Hello is the first frame of a stream, in both directions; the side that
// opened the stream, the opener, sends it first.
type Hello struct {
	Version uint64 // of the protocol that the sender speaks
	Program string // "kozo 0.1.0", for people; at most MaxProgram bytes
	Boot    Boot   // of the sender

	// Sent is set by the opener: the number of the last message that it will not
	// send again. The first message on this stream has the number after it, or
	// after Seen of the answer if that is greater and KnownBoot is the opener's.
	Sent uint64

	// Stream is set by the opener and counts the streams of this link since its
	// boot, from 1.
	Stream uint64

	// KnownBoot and Seen are set by the accepter: the boot of the opener that it
	// remembers, zero if none, and the number of the last message that it got
	// from that boot.
	KnownBoot Boot
	Seen      uint64

	// Digest is that of the sender's configuration. If the receiver has another,
	// both go on with a blocks frame, so that the difference can be named.
	Digest Digest

	// Interest is set by the accepter: what its roles want. At most MaxFilters.
	Interest []kozo.Filter
}

const helloFields = 9

// AppendHello appends a whole frame. What exceeds the bounds is left out in
// such a way that the frame stays true: texts are cut, and too many filters become
// one for everything.
func AppendHello(b []byte, h *Hello) []byte {
	b, start, room := begin(b, TypeHello, 128+16*len(h.Interest))
	b = msgp.AppendArrayHeader(b, helloFields)
	b = msgp.AppendUint64(b, h.Version)
	b = appendText(b, h.Program, MaxProgram)
	b = msgp.AppendBytes(b, h.Boot[:])
	b = msgp.AppendUint64(b, h.Sent)
	b = msgp.AppendUint64(b, h.Stream)
	b = msgp.AppendBytes(b, h.KnownBoot[:])
	b = msgp.AppendUint64(b, h.Seen)
	b = msgp.AppendBytes(b, h.Digest[:])
	b = appendFilters(b, h.Interest)
	return end(b, start, room, 0)
}

// ParseHello parses the payload of a hello frame, of this version of the
// protocol or a later one.
func ParseHello(payload []byte) (Hello, error) {
	const what = "hello"
	var h Hello
	d := decoder{b: payload}
	n := d.fields(helloFields)
	if h.Version = d.uint(); d.err == nil && h.Version == 0 {
		d.fail(ErrRange)
	}
	if d.err != nil {
		return Hello{}, d.wrap(what, "version")
	}
	if h.Program = string(d.utf8(MaxProgram)); d.err != nil {
		return Hello{}, d.wrap(what, "program")
	}
	copy(h.Boot[:], d.bytes(uint64(len(h.Boot))))
	if d.err == nil && h.Boot.IsZero() {
		d.fail(ErrRange)
	}
	if d.err != nil {
		return Hello{}, d.wrap(what, "boot")
	}
	if h.Sent = d.uint(); d.err != nil {
		return Hello{}, d.wrap(what, "sent")
	}
	if h.Stream = d.uint(); d.err != nil {
		return Hello{}, d.wrap(what, "stream")
	}
	if copy(h.KnownBoot[:], d.bytes(uint64(len(h.KnownBoot)))); d.err != nil {
		return Hello{}, d.wrap(what, "known boot")
	}
	if h.Seen = d.uint(); d.err != nil {
		return Hello{}, d.wrap(what, "seen")
	}
	if copy(h.Digest[:], d.bytes(uint64(len(h.Digest)))); d.err != nil {
		return Hello{}, d.wrap(what, "digest")
	}
	if h.Interest = parseFilters(&d); d.err != nil {
		return Hello{}, d.wrap(what, "interest")
	}
	if d.finish(n - helloFields); d.err != nil {
		return Hello{}, d.wrap(what, "end")
	}
	return h, nil
}

// AppendInterest appends an interest frame. More than MaxFilters filters become
// one for everything.
func AppendInterest(b []byte, filters []kozo.Filter) []byte {
	b, start, room := begin(b, TypeInterest, 8+16*len(filters))
	b = msgp.AppendArrayHeader(b, 1)
	b = appendFilters(b, filters)
	return end(b, start, room, 0)
}

// ParseInterest parses the payload of an interest frame.
func ParseInterest(payload []byte) ([]kozo.Filter, error) {
	d := decoder{b: payload}
	n := d.fields(1)
	filters := parseFilters(&d)
	if d.finish(n - 1); d.err != nil {
		return nil, d.wrap("interest", "filters")
	}
	return filters, nil
}

const (
	filterFields = 5
	filterBytes  = 6 // of the shortest
)

func appendFilters(b []byte, filters []kozo.Filter) []byte {
	if len(filters) > MaxFilters {
		filters = []kozo.Filter{{}}
	}
	b = msgp.AppendArrayHeader(b, uint32(len(filters)))
	for _, f := range filters {
		b = msgp.AppendArrayHeader(b, filterFields)
		b = msgp.AppendUint8(b, uint8(f.Kind))
		b = msgp.AppendString(b, f.Type)
		b = msgp.AppendString(b, f.Channel)
		b = msgp.AppendString(b, string(f.Role))
		b = msgp.AppendString(b, string(f.Node))
	}
	return b
}

func parseFilters(d *decoder) []kozo.Filter {
	n := d.list(filterBytes)
	if n > MaxFilters {
		d.fail(ErrRange)
	}
	if d.err != nil || n == 0 {
		return nil
	}
	filters := make([]kozo.Filter, n)
	for i := range filters {
		extra := d.fields(filterFields) - filterFields
		// A kind that does not exist yet stays in the filter, which then
		// matches nothing.
		kind := d.uint()
		if kind > math.MaxUint8 {
			d.fail(ErrRange)
		}
		filters[i] = kozo.Filter{
			Kind:    kozo.Kind(kind),
			Type:    string(d.utf8(kozo.MaxField)),
			Channel: string(d.utf8(kozo.MaxField)),
			Role:    kozo.RoleName(d.utf8(kozo.MaxName)),
			Node:    kozo.NodeName(d.utf8(kozo.MaxName)),
		}
		if d.skip(extra); d.err != nil {
			return nil
		}
	}
	return filters
}
