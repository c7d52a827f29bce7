// Package wire is the language of two nodes: frames, and what is in them. It
// knows bytes alone: no connections, no goroutines, no clock.
//
// A stream carries frames in both directions. A frame is a length (an unsigned
// LEB128 number, as in encoding/binary: the number of bytes after it), a type
// (one byte) and a payload. The payload of every type is one MessagePack array,
// whose elements are the fields; a later version may append fields, and readers
// ignore those that they do not know. docs/protocol.md is the specification.
//
// Everything that parses takes bytes from the network: it neither panics nor
// allocates more than a small multiple of the bytes that it was given.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// Version is the version of the protocol that this package speaks.
const Version = 1

// Type is the type of a frame.
type Type byte

// The types of frames. Readers skip those that they do not know.
const (
	TypeHello    Type = 1 + iota // the first frame, both ways: a Hello
	TypeMessage                  // opener to accepter: a kozo.Message
	TypePing                     // opener to accepter: a Ping
	TypePong                     // accepter to opener: a Pong
	TypeAck                      // accepter to opener: an Ack
	TypeInterest                 // accepter to opener: filters that replace those of its Hello
	TypeBye                      // both ways: the last frame, with a reason for people
	TypeBlocks                   // both ways, after hellos whose digests differ: the digests of the blocks
)

// FirstUnassigned begins the types that no version will ever assign. A node may
// send such frames at any time, with any payload, to see that they are skipped.
const FirstUnassigned Type = 0x40

// String names the type.
func (t Type) String() string {
	names := [...]string{"", "hello", "message", "ping", "pong", "ack", "interest", "bye", "blocks"}
	if t > 0 && int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("frame type 0x%02x", byte(t))
}

// Bounds of what is in frames. What exceeds them does not parse.
const (
	MaxLength  = 1<<32 - 1 // bytes after the length of a frame
	MaxProgram = 255       // bytes of Hello.Program
	MaxBlocks  = 20000     // entries of a blocks frame
	MaxBlock   = 512       // bytes of a name in it
	MaxSum     = 16        // bytes of a digest in it
	MaxFilters = 4096      // filters of a Hello or an interest frame
	MaxReason  = 255       // bytes of the reason in a bye frame
)

// Errors of the parsers, wrapped in one that says which part is wrong.
var (
	ErrShort = errors.New("it ends too early")
	ErrValue = errors.New("it has another type than expected")
	ErrRange = errors.New("it is out of its bounds")
	ErrText  = errors.New("it is not valid UTF-8")
	ErrTwice = errors.New("it is there twice")
	ErrAfter = errors.New("something follows the fields")
	ErrDepth = errors.New("lists and maps are nested too deeply")
	ErrFrame = errors.New("the stream does not consist of frames")
)

// AppendFrame appends a frame of any type.
func AppendFrame(b []byte, t Type, payload []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(payload))+1)
	b = append(b, byte(t))
	return append(b, payload...)
}

// Cut takes the first of several whole frames apart.
func Cut(frames []byte) (payload, rest []byte) {
	length, size := binary.Uvarint(frames)
	end := size + int(length)
	return frames[size+1 : end : end], frames[end:]
}

// begin starts a frame whose payload will have about the given number of bytes
// at most. It leaves room for the length.
func begin(b []byte, t Type, estimate int) (out []byte, start, room int) {
	start, room = len(b), uvarintLen(uint64(estimate)+1)
	b = append(b, "\x00\x00\x00\x00\x00"[:room]...)
	return append(b, byte(t)), start, room
}

// end writes the length of the frame that began at start and to which so many
// bytes more will be appended. The payload moves where the estimate was wrong,
// which is rare.
func end(b []byte, start, room, more int) []byte {
	length := uint64(len(b) - start - room + more)
	need := uvarintLen(length)
	switch {
	case need < room:
		b = append(b[:start+need], b[start+room:]...)
	case need > room:
		b = append(b, "\x00\x00\x00\x00\x00"[:need-room]...)
		copy(b[start+need:], b[start+room:])
	}
	binary.PutUvarint(b[start:start+need:start+need], length)
	return b
}

func uvarintLen(n uint64) int { return max(1, (bits.Len64(n)+6)/7) }

// appendText appends a string that may come from anywhere, so that it parses.
func appendText(b []byte, s string, most int) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if len(s) > most {
		s = s[:most]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return msgp.AppendString(b, s)
}
