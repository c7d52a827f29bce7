package node

import (
	"net"
	"testing"
	"testing/synctest"

	"kozo"
	"kozo/internal/link"
	"kozo/internal/memnet"
	"kozo/internal/secure"
)

// What has ended stays in the list until all that went on there is over.
func TestTheNewestConnectionThatLivesIsRiddenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := secure.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		config := func(self kozo.NodeName) *secure.Config {
			return &secure.Config{
				Self: self, Key: key,
				Peer: func(kozo.NodeName) (secure.PublicKey, bool) { return key.Public(), true },
			}
		}
		dial := func() (c, theirs *secure.Conn) {
			near, far := memnet.Pipe()
			done := make(chan struct{})
			go func(far net.Conn) {
				defer close(done)
				theirs, err = secure.Client(t.Context(), far, "a", config("b"))
			}(far)
			c, serverErr := secure.Server(t.Context(), near, config("a"))
			if <-done; err != nil || serverErr != nil {
				t.Fatal(err, serverErr)
			}
			return c, theirs
		}
		p := &peer{}
		if p.ride() != nil {
			t.Error("there is nothing to ride on")
		}
		older, olderTheirs := dial()
		newer, newerTheirs := dial()
		for _, step := range []struct {
			what string
			do   func()
			want link.Conn
		}{
			{"the first one came", func() { p.welcome(older) }, connOf(older)},
			{"the second one came", func() { p.welcome(newer) }, connOf(newer)},
			{"the peer closed the second one", func() { newerTheirs.Close(nil) }, connOf(older)},
			{"this node closed the first one", func() { older.Close(nil) }, nil},
			{"both have left", func() { p.leave(older); p.leave(newer) }, nil},
		} {
			step.do()
			synctest.Wait()
			if got := p.ride(); got != step.want {
				t.Errorf("when %s, it rides on %v", step.what, got)
			}
		}
		newer.Close(nil)
		olderTheirs.Close(nil)
	})
}
