package kozo

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// Body is the content of a message: one value in MessagePack. It is encoded
// once, by whoever makes the message, and decoded only by whoever looks at it.
//
// The values are those that every language has: nil, booleans, integers,
// floating-point numbers, strings of valid UTF-8, bytes, lists and maps with
// string keys.
// A Body must not be changed once it is part of a message that was sent.
type Body []byte

// MaxDepth is how deep lists and maps can be nested in a body.
const MaxDepth = 32

// Errors of bodies.
var (
	ErrBody     = errors.New("the body is not one value in MessagePack")
	ErrBodyText = errors.New("a string in the body is not valid UTF-8; such data is sent as bytes")
	ErrDepth    = fmt.Errorf("lists and maps are nested more than %d deep", MaxDepth)
)

// Pack encodes a value. It takes nil, bool, every integer and float type,
// string, []byte, lists ([]any, []string) and maps (map[string]any,
// map[string]string) of these, and any other value as encoding/json would write
// it. What is not valid UTF-8 in a string becomes U+FFFD, as encoding/json does
// it too. The error names what cannot be encoded.
func Pack(v any) (Body, error) {
	if v == nil {
		return nil, nil
	}
	b, err := appendValue(nil, v, 0)
	return Body(b), err
}

// appendValue appends a value that stands in so many lists and maps.
func appendValue(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return msgp.AppendNil(b), nil
	case bool:
		return msgp.AppendBool(b, v), nil
	case int:
		return msgp.AppendInt64(b, int64(v)), nil
	case int64:
		return msgp.AppendInt64(b, v), nil
	case uint64:
		return msgp.AppendUint64(b, v), nil
	case float64:
		return msgp.AppendFloat64(b, v), nil
	case float32:
		return msgp.AppendFloat64(b, float64(v)), nil // JSON has no infinities
	case string:
		return appendString(b, v), nil
	case []byte:
		return msgp.AppendBytes(b, v), nil
	case []any:
		if depth == MaxDepth {
			return b, ErrDepth
		}
		b = msgp.AppendArrayHeader(b, uint32(len(v)))
		for _, e := range v {
			var err error
			if b, err = appendValue(b, e, depth+1); err != nil {
				return b, err
			}
		}
		return b, nil
	case map[string]any:
		if depth == MaxDepth {
			return b, ErrDepth
		}
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys) // equal values have equal bodies
		b = msgp.AppendMapHeader(b, uint32(len(v)))
		for _, k := range keys {
			b = appendString(b, k)
			var err error
			if b, err = appendValue(b, v[k], depth+1); err != nil {
				return b, err
			}
		}
		return b, nil
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return msgp.AppendInt64(b, i), nil
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return msgp.AppendUint64(b, u), nil
		}
		f, err := v.Float64()
		if err != nil {
			return b, fmt.Errorf("the number %s is out of range", v)
		}
		return msgp.AppendFloat64(b, f), nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return b, fmt.Errorf("a %T cannot be the content of a message: %w", v, err)
	}
	plain, err := plainJSON(text)
	if err != nil {
		return b, err
	}
	return appendValue(b, plain, depth)
}

func appendString(b []byte, s string) []byte {
	return msgp.AppendString(b, strings.ToValidUTF8(s, "\uFFFD"))
}

// Check says whether the body is well formed. It allocates nothing, and its
// time is bounded by the length of the body.
func (b Body) Check() error {
	switch {
	case len(b) == 0:
		return nil
	// Bytes, which need no looking at, and are what there is most of.
	case b[0] == 0xc4 && len(b) >= 2 && len(b)-2 == int(b[1]),
		b[0] == 0xc5 && len(b) >= 3 && len(b)-3 == int(binary.BigEndian.Uint16(b[1:])):
		return nil
	}
	rest, err := checkValue(b, 0)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return ErrBody
	}
	return nil
}

// fits says whether the string or the bytes that b begins with, if it does, end
// within b. The msgp package takes the length for an int, and on a 32-bit machine
// one of 2 GiB or more is then negative.
func fits(b []byte) bool {
	if len(b) == 0 || (b[0] != 0xc6 && b[0] != 0xdb) { // bin 32, str 32
		return true
	}
	return len(b) >= 5 && uint64(binary.BigEndian.Uint32(b[1:])) <= uint64(len(b)-5)
}

func checkValue(b []byte, depth int) ([]byte, error) {
	if !fits(b) {
		return b, ErrBody
	}
	switch msgp.NextType(b) {
	case msgp.StrType:
		return checkString(b)
	case msgp.ArrayType:
		if depth == MaxDepth {
			return b, ErrDepth
		}
		n, b, err := msgp.ReadArrayHeaderBytes(b)
		// Each element has at least one byte: a count that the body cannot
		// hold is refused before anything is allocated for it.
		if err != nil || uint64(n) > uint64(len(b)) {
			return b, ErrBody
		}
		for ; n > 0; n-- {
			if b, err = checkValue(b, depth+1); err != nil {
				return b, err
			}
		}
		return b, nil
	case msgp.MapType:
		if depth == MaxDepth {
			return b, ErrDepth
		}
		n, b, err := msgp.ReadMapHeaderBytes(b)
		if err != nil || 2*uint64(n) > uint64(len(b)) {
			return b, ErrBody
		}
		for ; n > 0; n-- {
			if b, err = checkString(b); err != nil {
				return b, err
			}
			if b, err = checkValue(b, depth+1); err != nil {
				return b, err
			}
		}
		return b, nil
	case msgp.NilType, msgp.BoolType, msgp.IntType, msgp.UintType, msgp.Float32Type,
		msgp.Float64Type, msgp.BinType:
		rest, err := msgp.Skip(b)
		if err != nil {
			return b, ErrBody
		}
		return rest, nil
	}
	return b, ErrBody
}

func checkString(b []byte) ([]byte, error) {
	if msgp.NextType(b) != msgp.StrType || !fits(b) {
		return b, ErrBody
	}
	s, rest, err := msgp.ReadStringZC(b)
	switch {
	case err != nil:
		return b, ErrBody
	case !utf8.Valid(s):
		return b, ErrBodyText
	}
	return rest, nil
}

// Value decodes the body into nil, bool, int64, uint64 (only for what int64
// cannot hold), float64, string, []byte, []any and map[string]any, of which the
// last one wins where a key comes twice. An empty body is nil. It decodes what
// [Body.Check] accepts and nothing else.
func (b Body) Value() (any, error) {
	if len(b) == 0 {
		return nil, nil
	}
	v, rest, err := readValue(b, 0)
	if err == nil && len(rest) != 0 {
		err = ErrBody
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

func readValue(b []byte, depth int) (any, []byte, error) {
	if !fits(b) {
		return nil, b, ErrBody
	}
	var v any
	var err error
	switch msgp.NextType(b) {
	case msgp.NilType:
		b, err = msgp.ReadNilBytes(b)
	case msgp.BoolType:
		v, b, err = wrap(msgp.ReadBoolBytes(b))
	case msgp.IntType:
		v, b, err = wrap(msgp.ReadInt64Bytes(b))
	case msgp.UintType:
		var u uint64
		if u, b, err = msgp.ReadUint64Bytes(b); u <= math.MaxInt64 {
			v = int64(u)
		} else {
			v = u
		}
	case msgp.Float32Type:
		var f float32
		f, b, err = msgp.ReadFloat32Bytes(b)
		v = float64(f)
	case msgp.Float64Type:
		v, b, err = wrap(msgp.ReadFloat64Bytes(b))
	case msgp.StrType:
		return wrap(readString(b))
	case msgp.BinType:
		var p []byte
		if p, b, err = msgp.ReadBytesBytes(b, nil); p == nil {
			p = []byte{} // bytes all the same, where nil would be null in JSON
		}
		v = p
	case msgp.ArrayType:
		return readList(b, depth)
	case msgp.MapType:
		return readMap(b, depth)
	default:
		err = ErrBody
	}
	if err != nil {
		return nil, b, ErrBody
	}
	return v, b, nil
}

func wrap[T any](v T, b []byte, err error) (any, []byte, error) { return v, b, err }

func readString(b []byte) (string, []byte, error) {
	rest, err := checkString(b)
	if err != nil {
		return "", b, err
	}
	s, _, err := msgp.ReadStringBytes(b)
	return s, rest, err
}

func readList(b []byte, depth int) (any, []byte, error) {
	if depth == MaxDepth {
		return nil, b, ErrDepth
	}
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || uint64(n) > uint64(len(b)) {
		return nil, b, ErrBody
	}
	list := make([]any, n)
	for i := range list {
		if list[i], b, err = readValue(b, depth+1); err != nil {
			return nil, b, err
		}
	}
	return list, b, nil
}

func readMap(b []byte, depth int) (any, []byte, error) {
	if depth == MaxDepth {
		return nil, b, ErrDepth
	}
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil || 2*uint64(n) > uint64(len(b)) {
		return nil, b, ErrBody
	}
	m := make(map[string]any, n)
	for ; n > 0; n-- {
		var k string
		if k, b, err = readString(b); err != nil {
			return nil, b, err
		}
		if m[k], b, err = readValue(b, depth+1); err != nil {
			return nil, b, err
		}
	}
	return m, b, nil
}
