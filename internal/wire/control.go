package wire

import "github.com/tinylib/msgp/msgp"

// Ping is a heartbeat of the opener.
type Ping struct {
	ID   uint64 // chosen by the opener; the Pong repeats it
	Wall int64  // the opener's clock, nanoseconds since 1970 in UTC
}

// Pong answers a Ping at once. Like an [Ack], it confirms messages.
type Pong struct {
	ID   uint64 // of the Ping
	Wall int64  // the accepter's clock, nanoseconds since 1970 in UTC
	Seen uint64 // number of the last message that the accepter got on this link
}

// Ack confirms messages between two Pongs.
type Ack struct {
	Seen uint64 // number of the last message that the accepter got on this link
}

const (
	pingFields = 2
	pongFields = 3
	ackFields  = 1
)

// AppendPing appends a whole frame.
func AppendPing(b []byte, p Ping) []byte {
	b, start, room := begin(b, TypePing, 19)
	b = msgp.AppendArrayHeader(b, pingFields)
	b = msgp.AppendUint64(b, p.ID)
	b = msgp.AppendInt64(b, p.Wall)
	return end(b, start, room, 0)
}

// ParsePing parses the payload of a ping frame.
func ParsePing(payload []byte) (Ping, error) {
	d := decoder{b: payload}
	n := d.fields(pingFields)
	p := Ping{ID: d.uint(), Wall: d.int()}
	if d.finish(n - pingFields); d.err != nil {
		return Ping{}, d.wrap("ping", "fields")
	}
	return p, nil
}

// AppendPong appends a whole frame.
func AppendPong(b []byte, p Pong) []byte {
	b, start, room := begin(b, TypePong, 28)
	b = msgp.AppendArrayHeader(b, pongFields)
	b = msgp.AppendUint64(b, p.ID)
	b = msgp.AppendInt64(b, p.Wall)
	b = msgp.AppendUint64(b, p.Seen)
	return end(b, start, room, 0)
}

// ParsePong parses the payload of a pong frame.
func ParsePong(payload []byte) (Pong, error) {
	d := decoder{b: payload}
	n := d.fields(pongFields)
	p := Pong{ID: d.uint(), Wall: d.int(), Seen: d.uint()}
	if d.finish(n - pongFields); d.err != nil {
		return Pong{}, d.wrap("pong", "fields")
	}
	return p, nil
}

// AppendAck appends a whole frame.
func AppendAck(b []byte, a Ack) []byte {
	b, start, room := begin(b, TypeAck, 10)
	b = msgp.AppendArrayHeader(b, ackFields)
	b = msgp.AppendUint64(b, a.Seen)
	return end(b, start, room, 0)
}

// ParseAck parses the payload of an ack frame.
func ParseAck(payload []byte) (Ack, error) {
	d := decoder{b: payload}
	n := d.fields(ackFields)
	a := Ack{Seen: d.uint()}
	if d.finish(n - ackFields); d.err != nil {
		return Ack{}, d.wrap("ack", "fields")
	}
	return a, nil
}

// AppendBye appends a whole frame. The reason is cut after MaxReason bytes.
func AppendBye(b []byte, reason string) []byte {
	b, start, room := begin(b, TypeBye, 3+min(len(reason), MaxReason))
	b = msgp.AppendArrayHeader(b, 1)
	b = appendText(b, reason, MaxReason)
	return end(b, start, room, 0)
}

// ParseBye parses the payload of a bye frame.
func ParseBye(payload []byte) (reason string, err error) {
	d := decoder{b: payload}
	n := d.fields(1)
	reason = string(d.utf8(MaxReason))
	if d.finish(n - 1); d.err != nil {
		return "", d.wrap("bye", "reason")
	}
	return reason, nil
}
