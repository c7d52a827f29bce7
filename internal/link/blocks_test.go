package link

import (
	"fmt"
	"testing"
	"testing/synctest"

	"kozo/internal/wire"
)

// Both halves of a link say more about the configuration if that of the peer has
// another digest, and only then, and hear what the peer says.
func TestBlocksAreExchangedIfTheDigestsDiffer(t *testing.T) {
	ours, theirs := map[string]string{"heartbeat": "1"}, map[string]string{"heartbeat": "2"}
	hello := func(digest wire.Digest) []byte {
		return wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}, Digest: digest})
	}
	for _, half := range []struct {
		name  string
		begin func(*testing.T, func(map[string]string), []byte) *far
	}{
		{"opener", func(t *testing.T, heard func(map[string]string), first []byte) *far {
			_, fars := dialled(t, func(cfg *Config) {
				cfg.Digest, cfg.Blocks, cfg.OnBlocks = wire.DigestOf(ours), ours, heard
			})
			f := <-fars
			f.hello()
			f.write(first)
			return f
		}},
		{"accepter", func(t *testing.T, heard func(map[string]string), first []byte) *far {
			in := newInbound(&mailbox{})
			in.cfg.Digest, in.cfg.Blocks, in.cfg.OnBlocks = wire.DigestOf(ours), ours, heard
			f, _ := served(t, in)
			f.write(first)
			f.hello()
			return f
		}},
	} {
		for _, same := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, same %v", half.name, same), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var heard map[string]string
					digest := wire.DigestOf(theirs)
					if same {
						digest = wire.DigestOf(ours)
					}
					f := half.begin(t, func(blocks map[string]string) { heard = blocks }, hello(digest))
					typ, payload := f.read()
					if same {
						if typ == wire.TypeBlocks {
							t.Error("it said what the peer knows")
						}
						return
					}
					said, err := wire.ParseBlocks(payload)
					if typ != wire.TypeBlocks || err != nil || said["heartbeat"] != "1" {
						t.Fatalf("%v: %v, %v", typ, said, err)
					}
					f.write(wire.AppendBlocks(nil, theirs))
					synctest.Wait()
					if heard["heartbeat"] != "2" {
						t.Errorf("it heard %v", heard)
					}
				})
			})
		}
	}
}
