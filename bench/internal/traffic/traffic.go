// Package traffic is what both ends of every measured system do: they make
// messages with the whole envelope of Kōzō at the one end, and decode, match and
// count them at the other. So the systems differ in what is between the ends.
package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"kozo"
	"kozo/internal/wire"
)

// PayloadType is the type of the messages that are counted.
const PayloadType = "payload"

// MaxMessage is more than any measured message has, in bytes.
const MaxMessage = 1 << 20

// Source makes messages. It is not safe for concurrent use.
type Source struct{ m kozo.Message }

// NewSource returns a source of messages whose content has size bytes.
func NewSource(size int) (*Source, error) {
	body, err := kozo.Pack(make([]byte, size))
	if err != nil {
		return nil, err
	}
	return &Source{kozo.Message{Kind: kozo.Event, Type: PayloadType, From: kozo.RoleRef{Role: "flood"}, Body: body}}, nil
}

// Append appends the frame of the next message, sent now.
func (s *Source) Append(b []byte) []byte {
	s.m.Seq++
	s.m.Time = time.Now()
	return wire.AppendMessage(b, &s.m)
}

// Sent returns how many messages were made.
func (s *Source) Sent() int64 { return int64(s.m.Seq) }

// Sink takes messages. It is not safe for concurrent use.
type Sink struct {
	meter  *Meter
	filter kozo.Filter
	names  wire.Names
}

// NewSink returns a sink that counts with m what is a payload.
func NewSink(m *Meter) *Sink {
	return &Sink{meter: m, filter: kozo.Filter{Kind: kozo.Event, Type: PayloadType}}
}

// TakeFrame takes one whole frame, and returns the sequence number of its message.
func (s *Sink) TakeFrame(frame []byte) (uint64, error) {
	size, head := binary.Uvarint(frame)
	if head <= 0 || size == 0 || uint64(len(frame)-head) != size || wire.Type(frame[head]) != wire.TypeMessage {
		return 0, wire.ErrFrame
	}
	return s.Take(frame[head+1:])
}

// Take takes the payload of a message frame, and returns its sequence number.
func (s *Sink) Take(payload []byte) (uint64, error) {
	m, err := wire.ParseMessage(payload, &s.names)
	if err != nil {
		return 0, err
	}
	if !s.filter.Match(&m) {
		return 0, errors.New("a message came that nobody wants")
	}
	s.meter.Count(m.Seq, m.Time)
	return m.Seq, nil
}

// Window is the brake of a sender whose system would throw away what it cannot
// carry: at most so many messages are on the way to the slowest receiver. It is not
// safe for concurrent use.
type Window struct {
	size    int64
	sinks   int
	arrived map[string]int64
}

// NewWindow returns a window of size messages to a number of sinks.
func NewWindow(size, sinks int) *Window {
	return &Window{size: int64(size), sinks: sinks, arrived: map[string]int64{}}
}

// WindowFor is the window for messages of one size: 8 MiB, and between 64 and
// 16,384 messages.
func WindowFor(size int) int { return min(max(8<<20/size, 64), 16384) }

// CreditFor is after how many messages a sink answers.
func CreditFor(window int) int { return max(1, window/8) }

// Arrived notes that a sink has what was sent up to the n-th message.
func (w *Window) Arrived(sink string, n int64) {
	w.arrived[sink] = max(w.arrived[sink], n)
}

// Open returns up to which message may be sent.
func (w *Window) Open() int64 {
	if len(w.arrived) < w.sinks {
		return w.size
	}
	least := int64(-1)
	for _, n := range w.arrived {
		if least < 0 || n < least {
			least = n
		}
	}
	return least + w.size
}

// Pace calls send rate times a second until ctx is done, or so many times if most
// is not 0, and catches up if it was held up.
func Pace(ctx context.Context, rate, most int, send func() error) error {
	start := time.Now()
	for n := 1; ctx.Err() == nil && (most == 0 || n <= most); n++ {
		if err := send(); err != nil {
			return err
		}
		time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(rate))))
	}
	return nil
}
