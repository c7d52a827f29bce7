package link

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"kozo/internal/wire"
)

// A link dials when it is its turn, and gives that back when it is up.
func TestALinkDialsInItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn, over := make(chan struct{}), make(chan struct{})
		l, fars := dialled(t, func(cfg *Config) {
			cfg.Turn = func(ctx context.Context) (func(), error) {
				select {
				case <-turn:
					return func() { close(over) }, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		})
		select {
		case <-fars:
			t.Fatal("it did not wait for its turn")
		case <-time.After(time.Hour):
		}
		turn <- struct{}{}
		f := <-fars
		f.hello()
		synctest.Wait()
		select {
		case <-over:
			t.Error("its turn was over before the hello")
		default:
		}
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}}))
		<-over
		synctest.Wait()
		if !isUp(l) {
			t.Error("the link is not up")
		}
	})
}

// Who waits for its turn can be stopped.
func TestALinkThatWaitsForItsTurnStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialled(t, func(cfg *Config) {
			cfg.Turn = func(ctx context.Context) (func(), error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		synctest.Wait()
	})
}

// A connection that comes after its turn is not left to wait for the next one: the
// peer would close it.
func TestALateConnectionNeedsNoOtherTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &way{rank: 1, connects: 70 * time.Second}
		l := ways(t, func(cfg *Config) {
			cfg.Targets[1].Timeout = 2 * time.Minute
			cfg.Turn = func(ctx context.Context) (func(), error) {
				if slow.got.Load() > 0 { // from now on it is the turn of others
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return func() {}, nil
			}
		}, refusing(0, ms), slow)
		if took := upAfter(t, l); took != 70*time.Second {
			t.Errorf("up after %v", took)
		}
	})
}
