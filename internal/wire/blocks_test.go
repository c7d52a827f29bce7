package wire

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"
)

func TestBlocksRoundTrip(t *testing.T) {
	blocks := rapid.MapOf(rapid.StringN(0, -1, MaxBlock), rapid.StringN(0, -1, MaxSum))
	rapid.Check(t, func(t *rapid.T) {
		a, b := blocks.Draw(t, "a"), blocks.Draw(t, "b")
		got, err := ParseBlocks(AppendBlocks(nil, a)[lengthOf(AppendBlocks(nil, a))+1:])
		if err != nil || !maps.Equal(got, a) {
			t.Fatalf("%v became %v, %v", a, got, err)
		}
		if DigestOf(a) != DigestOf(maps.Clone(a)) || (DigestOf(a) == DigestOf(b)) != maps.Equal(a, b) {
			t.Fatalf("%v has the digest %x, %v %x", a, DigestOf(a), b, DigestOf(b))
		}
	})
}

// What the bounds do not allow is left out, and what is there is true.
func TestBlocksKeepToTheirBounds(t *testing.T) {
	blocks := map[string]string{strings.Repeat("x", MaxBlock+1): "long", "a": strings.Repeat("s", 99)}
	for i := range MaxBlocks {
		blocks[fmt.Sprintf("block%05d", i)] = "sum"
	}
	got, err := ParseBlocks(payload(t, TypeBlocks, AppendBlocks(nil, blocks)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != MaxBlocks || got["block00000"] != "sum" || got["a"] != strings.Repeat("s", MaxSum) {
		t.Errorf("%d blocks", len(got))
	}
}

func TestBlocksErrors(t *testing.T) {
	many := map[string]any{}
	for i := range MaxBlocks + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for _, test := range []struct {
		name    string
		payload []byte
		want    error
	}{
		{"empty", nil, ErrShort},
		{"no fields", pack(t), ErrShort},
		{"no map", pack(t, []any{}), ErrValue},
		{"a huge map", pack(t, msgp.Raw("\xdf\xff\xff\xff\xff")), ErrShort},
		{"a large map", pack(t, many), ErrRange},
		{"a long name", pack(t, map[string]any{strings.Repeat("x", MaxBlock+1): ""}), ErrRange},
		{"a long digest", pack(t, map[string]any{"a": strings.Repeat("x", MaxSum+1)}), ErrRange},
		{"a block twice", pack(t, msgp.Raw("\x82\xa1a\xa1x\xa1a\xa1x")), ErrTwice},
		{"not UTF-8", pack(t, map[string]any{"\xff": ""}), ErrText},
		{"rest", append(pack(t, map[string]any{}), 0), ErrAfter},
	} {
		if blocks, err := ParseBlocks(test.payload); !errors.Is(err, test.want) {
			t.Errorf("%s: parsed as %d blocks, %v; want %v", test.name, len(blocks), err, test.want)
		}
	}
	if blocks, err := ParseBlocks(pack(t, map[string]any{"a": "1"}, "new")); err != nil || blocks["a"] != "1" {
		t.Errorf("of a later version: %v, %v", blocks, err)
	}
}

// The memory for blocks is a small multiple of their length, whatever they are.
func TestBlocksMemory(t *testing.T) {
	blocks := map[string]any{}
	for i := range MaxBlocks {
		blocks[fmt.Sprintf("%x", i)] = ""
	}
	for name, p := range map[string][]byte{
		"many": pack(t, blocks),
		"cut":  pack(t, msgp.Raw("\xde\x4e\x20"+strings.Repeat("\xa0", 40000))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = ParseBlocks(p)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 40*uint64(len(p))+4096 {
			t.Errorf("%s: %d bytes for a frame of %d", name, used, len(p))
		}
	}
}
