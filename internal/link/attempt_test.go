package link

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/wire"
)

const ms = time.Millisecond

func TestNobodyWaitsForATargetThatDoesNotAnswer(t *testing.T) {
	works := func(rank int) *way { return &way{rank: rank, connects: 50 * ms} }
	for name, test := range map[string]struct {
		ways []*way
		took time.Duration
		uses string
	}{
		"the first answers":           {[]*way{works(0), works(0)}, 50 * ms, "1"},
		"the first refuses":           {[]*way{refusing(0, 20*ms), works(0)}, 70 * ms, "2"},
		"a hole":                      {[]*way{hole(0), works(0)}, 1050 * ms, "2"},
		"a hole that is better":       {[]*way{hole(0), works(1)}, 1150 * ms, "2"},
		"two holes":                   {[]*way{hole(0), hole(0), works(0)}, 2050 * ms, "3"},
		"a hole, then a refusal":      {[]*way{hole(0), refusing(0, 20*ms), works(0)}, 1070 * ms, "3"},
		"the first refuses late":      {[]*way{refusing(0, 1500*ms), hole(0), works(0)}, 2050 * ms, "3"},
		"nobody says hello there":     {[]*way{{connects: 20 * ms, hello: -1}, works(0)}, 1070 * ms, "2"},
		"a better one comes too":      {[]*way{{rank: 0, connects: 1100 * ms}, works(1)}, 1100 * ms, "1"},
		"a better one comes too late": {[]*way{{rank: 0, connects: 1200 * ms}, works(1)}, 1150 * ms, "2"},
		"busy with the handshake":     {[]*way{{answers: 900 * ms, connects: 4900 * ms}, works(0)}, 4900 * ms, "1"},
		"hello takes a while":         {[]*way{{connects: 900 * ms, hello: 800 * ms}, works(0)}, 1700 * ms, "1"},
		"hello takes very long":       {[]*way{hole(0), {connects: 20 * ms, hello: 3 * time.Second}, works(0)}, 2070 * ms, "3"},
		"deaf when it is given up":    {[]*way{{connects: 3 * time.Second, deaf: true}, works(0)}, 1050 * ms, "2"},
		"no end to the handshake":     {[]*way{{answers: 20 * ms}, works(0)}, 5050 * ms, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := ways(t, nil, test.ways...)
				took := upAfter(t, l)
				if s := snapshot(l); took != test.took || s.Endpoint != test.uses || s.Connects != 1 {
					t.Errorf("up over %s after %v, not over %s after %v", s.Endpoint, took, test.uses, test.took)
				}
				time.Sleep(2 * time.Second) // the deaf one needs it
				synctest.Wait()
				now := snapshot(l)
				for i, w := range test.ways {
					if w.rank < test.ways[len(test.ways)-1].rank {
						continue // it is still worth a try
					}
					open := w.got.Load() - w.closed.Load()
					if used := now.Endpoint == string(rune('1'+i)); (open > 0) != used {
						t.Errorf("%d connections of target %d are open, in use: %v", open, i+1, used)
					}
					if w.under.Load() > 0 || w.dials.Load() > 1 {
						t.Errorf("target %d was dialled %d times, and still is: %d", i+1, w.dials.Load(), w.under.Load())
					}
				}
			})
		})
	}
}

func TestEachTargetSaysWhyItWasNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []*way{hole(0), {answers: 20 * ms}, refusing(0, ms), {connects: 50 * ms, hello: -1}, {connects: 60 * ms}, {connects: 50 * ms}}
		l := ways(t, nil, all...)
		upAfter(t, l)
		s := snapshot(l)
		for i, want := range []string{
			"no answer after 1s", "connected, but no handshake after 5s", "connection refused",
			"connected, but the peer did not say hello in time", "",
		} {
			if target := s.Targets[i]; target.Error != want || target.Tried == nil {
				t.Errorf("%d: %q, tried %v", i+1, target.Error, target.Tried)
			}
		}
		if s.Targets[5].Tried != nil {
			t.Errorf("the last one was dialled in vain: %+v", s.Targets[5])
		}
	})
}

// What is still being dialled when a worse target has answered goes on, and the
// link moves as soon as it is there.
func TestABetterTargetThatComesLateIsMovedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, fast := &way{rank: 0, connects: 3 * time.Second}, &way{rank: 1, connects: 50 * ms}
		l := ways(t, nil, slow, fast)
		begun := time.Now()
		upAfter(t, l)
		if s := snapshot(l); s.Endpoint != "2" || s.Targets[0].Error != "no answer after 1s" {
			t.Fatalf("%+v", s)
		}
		time.Sleep(3100*ms - time.Since(begun))
		synctest.Wait()
		if s := snapshot(l); s.Endpoint != "1" || s.Connects != 2 || s.Targets[0].Error != "" || slow.dials.Load() != 1 {
			t.Errorf("%+v, dialled %d times", s, slow.dials.Load())
		}
		if fast.closed.Load() != 1 {
			t.Error("the worse connection is still there")
		}
	})
}

// While one target does not answer, those that refuse are dialled again and again.
func TestATargetThatDoesNotAnswerDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := refusing(0, ms)
		l := ways(t, func(cfg *Config) {
			cfg.Retry = 2 * time.Second
			cfg.Targets[1].Timeout = 2 * time.Minute
		}, down, hole(1))
		time.Sleep(50 * time.Second)
		if n := down.dials.Load(); n < 15 {
			t.Errorf("dialled %d times in 50 s", n)
		}
		if s := snapshot(l); !strings.Contains(s.Reason, "connection refused") || !strings.Contains(s.Reason, "tcp 2: no answer yet") {
			t.Errorf("the reason is %q", s.Reason)
		}
	})
}

// A dial that takes longer than its round, and connects in the pause after it.
func TestADialThatSucceedsInThePauseIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &way{rank: 1, connects: 70 * time.Second}
		l := ways(t, func(cfg *Config) { cfg.Targets[1].Timeout = 2 * time.Minute }, refusing(0, ms), slow)
		if took := upAfter(t, l); took != 70*time.Second || slow.dials.Load() != 1 {
			t.Errorf("up after %v, dialled %d times", took, slow.dials.Load())
		}
	})
}

func TestALinkRidesWhenItsOwnDialsAreLate(t *testing.T) {
	for name, test := range map[string]struct {
		arrives time.Duration
		own     *way
		more    *way
		took    time.Duration
		rides   bool
	}{
		"the peer is there already":  {0, hole(0), hole(0), time.Second, true},
		"it comes while they hang":   {3 * time.Second, hole(0), refusing(0, 5*time.Second), 3 * time.Second, true},
		"it comes in the pause":      {300 * time.Second, refusing(0, ms), refusing(0, ms), 300 * time.Second, true},
		"all have failed":            {0, refusing(0, 20*ms), refusing(0, 20*ms), 40 * ms, true},
		"the own one is a bit later": {300 * ms, &way{connects: 600 * ms}, hole(0), 600 * ms, false},
		"it is busy":                 {300 * ms, &way{answers: 300 * ms, connects: 4 * time.Second}, hole(0), 4 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &lent{}
				var there atomic.Bool
				l := ways(t, func(cfg *Config) {
					cfg.Ride = func() Conn {
						if there.Load() {
							return conn
						}
						return nil
					}
				}, test.own, test.more)
				begun := time.Now()
				time.AfterFunc(test.arrives, func() {
					there.Store(true)
					l.Arrived(wire.Boot{2})
				})
				upAfter(t, l)
				took := time.Since(begun).Round(10 * ms)
				if s := snapshot(l); took != test.took || s.Rides != test.rides {
					t.Errorf("up after %v: %+v", took, s)
				}
				n := test.own.dials.Load()
				time.Sleep(5 * time.Minute)
				if again := test.own.dials.Load() - n; test.rides && (again < 5 || again > 12) {
					t.Errorf("a better way was tried %d times in 5 minutes", again)
				}
				if s := snapshot(l); s.Connects != 1 || conn.closed.Load() {
					t.Errorf("the connection of the peer is closed: %v, %+v", conn.closed.Load(), s)
				}
			})
		})
	}
}

// The connection of the peer carries so much that everything takes long there: the
// own dial that succeeds in the meantime is used, and the peer's transfer goes on.
func TestWhoWaitsToRideTakesItsOwnConnectionWhenItComes(t *testing.T) {
	for name, conn := range map[string]*lent{
		"the hello comes late":         {hello: 20 * time.Second},
		"the hello comes after it":     {hello: 4050 * ms},
		"the stream opens late":        {open: 20 * time.Second},
		"the stream opens never again": {open: 200 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				own := &way{connects: 5 * time.Second}
				l := ways(t, func(cfg *Config) { cfg.Ride = func() Conn { return conn } }, own)
				if took := upAfter(t, l); took != 5*time.Second {
					t.Errorf("up after %v", took)
				}
				time.Sleep(10 * time.Minute)
				if s := snapshot(l); s.Rides || s.Connects != 1 || s.State != stateUp || conn.closed.Load() {
					t.Errorf("the connection of the peer is closed: %v, %+v", conn.closed.Load(), s)
				}
				if said := conn.heard.Load() > 0; said != (conn.open == 0) {
					t.Errorf("a hello was said: %v", said)
				}
			})
		})
	}
}

// Who has said hello is not given up for another connection.
func TestASessionThatIsGreetedIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ways(t, func(cfg *Config) {
			cfg.OnHello = func(*wire.Hello) { time.Sleep(5 * time.Second) }
		}, &way{connects: 20 * ms}, &way{connects: 20 * ms})
		upAfter(t, l)
		time.Sleep(time.Minute)
		if s := snapshot(l); s.Endpoint != "1" || s.Connects != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A better connection that is there before the hello on a worse one is used
// right after it.
func TestABetterConnectionThatIsReadyIsMovedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		best := &way{rank: 0, connects: 1600 * ms}
		worse := &way{rank: 1, connects: 50 * ms, hello: 800 * ms}
		l := ways(t, nil, best, worse)
		upAfter(t, l)
		time.Sleep(100 * ms)
		synctest.Wait()
		if s := snapshot(l); s.Endpoint != "1" || s.Connects != 2 || best.dials.Load() != 1 || worse.closed.Load() != 1 {
			t.Errorf("%+v, dialled %d times", s, best.dials.Load())
		}
	})
}

// The search for something better does not wait for a target that does not answer
// either, and takes what is best.
func TestProbesAreStaggeredToo(t *testing.T) {
	for name, test := range map[string]struct {
		first *way
		most  time.Duration // until the second one is in use
	}{
		"a hole":                {hole(0), 1200 * ms},
		"a refusal":             {refusing(0, ms), 100 * ms},
		"one that is of no use": {&way{connects: 50 * ms, hello: -1}, helloTimeout + 200*ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const late = 10 * time.Second // after a probe
				const opens = 5*time.Minute + late
				test.first.opens = opens
				better := &way{rank: 1, opens: opens, connects: 50 * ms}
				also := &way{rank: 1, opens: opens, connects: 1300 * ms, deaf: true}
				l := ways(t, nil, test.first, better, also, &way{rank: 2, connects: ms})
				begun := time.Now()
				upAfter(t, l)
				if s := snapshot(l); s.Endpoint != "4" {
					t.Fatalf("%+v", s)
				}
				for snapshot(l).Endpoint != "2" {
					time.Sleep(10 * ms)
					synctest.Wait()
					if took := time.Since(begun) - opens; took > probeTime-late+test.most {
						t.Fatalf("not moved %v after it was possible: %+v", took, snapshot(l))
					}
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if open := also.got.Load() - also.closed.Load(); open > 0 || also.under.Load() > 0 {
					t.Errorf("%d connections of the other one are open", open)
				}
			})
		})
	}
}

// A peer that comes over and over, on connections that are of no use.
func TestArrivalsCauseNoStorm(t *testing.T) {
	for name, all := range map[string][]*way{
		"no way":        nil,
		"a hole":        {hole(0)},
		"a refusal":     {refusing(0, ms)},
		"both":          {hole(0), refusing(1, ms)},
		"several holes": {hole(0), hole(0), hole(1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &lent{err: errors.New("too many streams are open")}
				l := ways(t, func(cfg *Config) { cfg.Ride = func() Conn { return conn } }, all...)
				const long = time.Minute
				for begun := time.Now(); time.Since(begun) < long; time.Sleep(ms) {
					l.Arrived(wire.Boot{2})
				}
				most := int32(long/firstPause) + 2
				if rides := conn.opens.Load(); rides > most || rides < most/4 {
					t.Errorf("%d rides in %v", rides, long)
				}
				for i, w := range all {
					if n := w.dials.Load(); n > most || w.err == nil && n > int32(long/(10*time.Second))+1 {
						t.Errorf("%d dials of target %d in %v", n, i+1, long)
					}
				}
			})
		})
	}
}

func TestOnDemandDialsOnlyWhileSomebodyDemands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []*way{hole(0), refusing(1, ms)}
		l := ways(t, func(cfg *Config) {
			cfg.Policy, cfg.QueueAge = kozo.OnDemand, time.Minute
			cfg.Targets[0].Timeout = 5 * time.Minute
		}, all...)
		time.Sleep(time.Minute)
		if n := all[0].dials.Load() + all[1].dials.Load(); n > 0 {
			t.Errorf("%d dials for nothing", n)
		}
		l.Offer(message("x"), nil, time.Now())
		time.Sleep(40 * time.Second)
		if all[0].dials.Load() != 1 || all[1].dials.Load() == 0 {
			t.Error("nothing was dialled")
		}
		time.Sleep(2 * time.Minute)
		before := all[0].dials.Load() + all[1].dials.Load()
		if s := snapshot(l); s.State != stateIdle || s.Out.Dropped["expired"] != 1 || all[0].under.Load() > 0 {
			t.Errorf("%d under way, %+v", all[0].under.Load(), s)
		}
		time.Sleep(time.Hour)
		if n := all[0].dials.Load() + all[1].dials.Load(); n != before {
			t.Errorf("%d more dials for nothing", n-before)
		}
	})
}

func TestNeverDialsNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, conn := &way{connects: ms}, &lent{}
		l := ways(t, func(cfg *Config) {
			cfg.Policy = kozo.Never
			cfg.Ride = func() Conn { return conn }
		}, own)
		l.Offer(message("x"), nil, time.Now())
		l.Arrived(wire.Boot{2})
		time.Sleep(time.Hour)
		if own.dials.Load() > 0 || conn.opens.Load() > 0 {
			t.Error("it has connected")
		}
	})
}

// Once nothing better is left to be found, nobody wakes up to look for it.
func TestWhoHasTheBestConnectionSeeksNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ways(t, nil, hole(0), &way{connects: 50 * ms})
		upAfter(t, l)
		time.Sleep(time.Second)
		synctest.Wait()
		all := make([]byte, 1<<20)
		all = all[:runtime.Stack(all, true)]
		if bytes.Contains(all, []byte("link.(*Link).probe")) || !bytes.Contains(all, []byte("link.(*Link).serve")) {
			t.Errorf("somebody still does:\n%s", all)
		}
	})
}

// Every rank is one, and a connection that comes too late is closed.
func TestALinkWithARankBelowZeroStops(t *testing.T) {
	late := &way{rank: -1, connects: 3 * time.Second, deaf: true}
	synctest.Test(t, func(t *testing.T) { upAfter(t, ways(t, nil, late, &way{connects: 50 * ms})) })
	if late.got.Load() != 1 || late.closed.Load() != 1 {
		t.Errorf("%d connections, %d are closed", late.got.Load(), late.closed.Load())
	}
}
