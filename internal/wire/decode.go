package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// decoder reads MessagePack from the front of b. After the first error all its
// methods return zero values.
//
// It is our own because lengths must be compared as 64-bit numbers: the readers
// of the msgp package turn a length into an int first, and on a 32-bit machine a
// string that announces 4 GiB has a negative one.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
		d.b = nil
	}
}

// wrap says which part of what was wrong.
func (d *decoder) wrap(what, part string) error {
	return fmt.Errorf("%s: %s: %w", what, part, d.err)
}

// take returns the next n bytes.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail(ErrShort)
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

// number reads a big-endian number of 1, 2, 4 or 8 bytes.
func (d *decoder) number(width uint64) uint64 {
	p := d.take(width)
	switch len(p) {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(p))
	case 4:
		return uint64(binary.BigEndian.Uint32(p))
	case 8:
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// lead reads the first byte of a value.
func (d *decoder) lead() byte {
	if len(d.b) == 0 {
		d.fail(ErrShort)
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// uint reads an integer that is not negative, in any of its encodings.
func (d *decoder) uint() uint64 {
	c := d.lead()
	switch {
	case d.err != nil || c <= 0x7f:
		return uint64(c)
	case c >= 0xcc && c <= 0xcf:
		return d.number(1 << (c - 0xcc))
	case c >= 0xd0 && c <= 0xd3:
		if i := d.signed(c); i >= 0 {
			return uint64(i)
		}
		d.fail(ErrRange)
	case c >= 0xe0:
		d.fail(ErrRange)
	default:
		d.fail(ErrValue)
	}
	return 0
}

// int reads an integer that an int64 can hold, in any of its encodings.
func (d *decoder) int() int64 {
	c := d.lead()
	switch {
	case d.err != nil || c <= 0x7f:
		return int64(c)
	case c >= 0xcc && c <= 0xcf:
		u := d.number(1 << (c - 0xcc))
		if u <= math.MaxInt64 {
			return int64(u)
		}
		d.fail(ErrRange)
	case c >= 0xd0 && c <= 0xd3:
		return d.signed(c)
	case c >= 0xe0:
		return int64(int8(c))
	default:
		d.fail(ErrValue)
	}
	return 0
}

func (d *decoder) signed(c byte) int64 {
	width := uint64(1) << (c - 0xd0)
	shift := 64 - 8*width
	return int64(d.number(width)<<shift) >> shift
}

// list reads the header of an array each of whose elements has at least size
// bytes: what the rest cannot hold fails here, before anything is allocated.
func (d *decoder) list(size uint64) int {
	c := d.lead()
	var n uint64
	switch {
	case d.err != nil:
		return 0
	case c&0xf0 == 0x90:
		n = uint64(c & 0x0f)
	case c == 0xdc:
		n = d.number(2)
	case c == 0xdd:
		n = d.number(4)
	default:
		d.fail(ErrValue)
	}
	return d.count(n, size)
}

// dict reads the header of a map, as list does; size is that of a pair.
func (d *decoder) dict(size uint64) int {
	c := d.lead()
	var n uint64
	switch {
	case d.err != nil:
		return 0
	case c&0xf0 == 0x80:
		n = uint64(c & 0x0f)
	case c == 0xde:
		n = d.number(2)
	case c == 0xdf:
		n = d.number(4)
	default:
		d.fail(ErrValue)
	}
	return d.count(n, size)
}

func (d *decoder) count(n, size uint64) int {
	if n*size > uint64(len(d.b)) { // n < 2^32 and size is small
		d.fail(ErrShort)
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

// fields reads the header of the array that a payload is.
func (d *decoder) fields(least int) int {
	n := d.list(1)
	if d.err == nil && n < least {
		d.fail(ErrShort)
	}
	return n
}

// text reads a string of at most so many bytes. It aliases the input.
func (d *decoder) text(most uint64) []byte {
	c := d.lead()
	var n uint64
	switch {
	case d.err != nil:
		return nil
	case c&0xe0 == 0xa0:
		n = uint64(c & 0x1f)
	case c >= 0xd9 && c <= 0xdb:
		n = d.number(1 << (c - 0xd9))
	default:
		d.fail(ErrValue)
		return nil
	}
	if n > most {
		d.fail(ErrRange)
		return nil
	}
	return d.take(n)
}

// utf8 reads a string of at most so many bytes that people will see.
func (d *decoder) utf8(most uint64) []byte {
	p := d.text(most)
	if !utf8.Valid(p) {
		d.fail(ErrText)
		return nil
	}
	return p
}

// bytes reads exactly n bytes of binary data. It aliases the input.
func (d *decoder) bytes(n uint64) []byte {
	c := d.lead()
	switch {
	case d.err != nil:
		return nil
	case c < 0xc4 || c > 0xc6:
		d.fail(ErrValue)
		return nil
	}
	if d.number(1<<(c-0xc4)) != n {
		d.fail(ErrRange)
		return nil
	}
	return d.take(n)
}

// maxDepth bounds the nesting of values that are skipped.
const maxDepth = 64

// skip passes over n values of any type.
func (d *decoder) skip(n int) { d.skipDeep(uint64(max(n, 0)), 0) }

func (d *decoder) skipDeep(n uint64, depth int) {
	if depth > maxDepth {
		d.fail(ErrDepth)
	}
	for ; n > 0 && d.err == nil; n-- {
		c := d.lead()
		switch {
		case d.err != nil || c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3:
		case c <= 0x8f:
			d.skipDeep(2*uint64(c&0x0f), depth+1)
		case c <= 0x9f:
			d.skipDeep(uint64(c&0x0f), depth+1)
		case c <= 0xbf:
			d.take(uint64(c & 0x1f))
		case c >= 0xc4 && c <= 0xc6: // bin
			d.take(d.number(1 << (c - 0xc4)))
		case c >= 0xc7 && c <= 0xc9: // ext
			d.take(d.number(1<<(c-0xc7)) + 1)
		case c == 0xca:
			d.take(4)
		case c == 0xcb:
			d.take(8)
		case c >= 0xcc && c <= 0xcf:
			d.take(1 << (c - 0xcc))
		case c >= 0xd0 && c <= 0xd3:
			d.take(1 << (c - 0xd0))
		case c >= 0xd4 && c <= 0xd8: // fixext
			d.take(1<<(c-0xd4) + 1)
		case c >= 0xd9 && c <= 0xdb: // str
			d.take(d.number(1 << (c - 0xd9)))
		case c == 0xdc:
			d.skipDeep(d.number(2), depth+1)
		case c == 0xdd:
			d.skipDeep(d.number(4), depth+1)
		case c == 0xde:
			d.skipDeep(2*d.number(2), depth+1)
		case c == 0xdf:
			d.skipDeep(2*d.number(4), depth+1)
		default: // 0xc1 is never used
			d.fail(ErrValue)
		}
	}
}

// finish passes over the fields that a later version appended. Nothing may
// follow them.
func (d *decoder) finish(extra int) {
	d.skip(extra)
	if d.err == nil && len(d.b) != 0 {
		d.fail(ErrAfter)
	}
}
