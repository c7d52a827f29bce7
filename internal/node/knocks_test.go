package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kozo/internal/secure"
	"kozo/internal/system"
	"kozo/internal/wire"
)

func TestStrangersWhoChangeTheirNamesDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k knocks
		flood := func() (lines int) {
			for i := range 10_000 {
				if k.add(&secure.Stranger{Address: "10.0.0.1:1", Name: fmt.Sprint("s", i), Reason: "no"}) {
					lines++
				}
			}
			return lines
		}
		if n := flood(); n != budgetLines {
			t.Errorf("%d lines", n)
		}
		if n := len(k.list()); n != knocksMost {
			t.Errorf("%d strangers are remembered", n)
		}
		time.Sleep(budgetTime)
		if n := flood(); n != budgetLines {
			t.Errorf("%d lines an hour later", n)
		}
	})
}

func TestAPeerWithEverNewConfigurationsDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := &peer{
			node: &Node{
				cfg:    Config{System: &system.System{Digest: map[string]string{"heartbeat": "a"}}},
				digest: wire.Digest{1},
			},
			log: slog.New(slog.NewTextHandler(&log, nil)),
		}
		for i := range 1000 {
			digest := map[string]string{}
			for block := range 100 {
				digest[fmt.Sprint(i, strings.Repeat("x", 200), block)] = "b"
			}
			p.hello(&wire.Hello{Digest: wire.Digest{2}})
			p.compare(digest)
		}
		if n := bytes.Count(log.Bytes(), []byte("\n")); n != budgetLines {
			t.Errorf("%d lines", n)
		}
		if len(p.drift) != driftMost+1 || p.drift[driftMost] != "and 85 more" {
			t.Errorf("drift of %d blocks: %v", len(p.drift), p.drift[len(p.drift)-1])
		}
		time.Sleep(budgetTime)
		log.Reset()
		p.hello(&wire.Hello{Digest: wire.Digest{1}})
		if !strings.Contains(log.String(), "the same configuration again") || len(p.drift) != 0 {
			t.Errorf("%v, %s", p.drift, log.String())
		}
	})
}
