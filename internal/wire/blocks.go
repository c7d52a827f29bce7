package wire

import (
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// Digest stands for a whole configuration: two nodes whose digests are equal have
// the same. It is at the beginning of the SHA-256 of the payload of a blocks
// frame.
type Digest [16]byte

// DigestOf returns the digest of a configuration with these blocks.
func DigestOf(blocks map[string]string) Digest {
	payload, _ := Cut(AppendBlocks(nil, blocks))
	sum := sha256.Sum256(payload)
	return Digest(sum[:])
}

// AppendBlocks appends a whole frame with the short digests of the blocks of a
// configuration, so that a difference can be named. At most MaxBlocks entries;
// names of at most MaxBlock and digests of at most MaxSum bytes. What exceeds the
// bounds is left out: longer names, what comes last in the alphabet, and the end
// of a digest.
func AppendBlocks(b []byte, blocks map[string]string) []byte {
	b, start, room := begin(b, TypeBlocks, 8+32*len(blocks))
	b = msgp.AppendArrayHeader(b, 1)
	names := slices.Sorted(maps.Keys(blocks))
	names = slices.DeleteFunc(names, func(s string) bool { return len(s) > MaxBlock })
	names = names[:min(len(names), MaxBlocks)]
	b = msgp.AppendMapHeader(b, uint32(len(names)))
	for _, name := range names {
		b = msgp.AppendString(b, name)
		b = appendText(b, blocks[name], MaxSum)
	}
	return end(b, start, room, 0)
}

// ParseBlocks parses the payload of a blocks frame.
func ParseBlocks(payload []byte) (map[string]string, error) {
	d := decoder{b: payload}
	n := d.fields(1)
	blocks := parseBlocks(&d)
	if d.finish(n - 1); d.err != nil {
		return nil, d.wrap("blocks", "digests")
	}
	return blocks, nil
}

func parseBlocks(d *decoder) map[string]string {
	n := d.dict(2)
	if n > MaxBlocks {
		d.fail(ErrRange)
		return nil
	}
	blocks := make(map[string]string)
	for range n {
		name := string(d.utf8(MaxBlock))
		sum := string(d.utf8(MaxSum))
		if d.err != nil {
			return nil
		}
		if _, twice := blocks[name]; twice {
			d.fail(ErrTwice)
			return nil
		}
		blocks[name] = sum
	}
	return blocks
}
