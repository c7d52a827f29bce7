package link

import (
	"testing"
	"testing/synctest"
	"time"

	"kozo/internal/wire"
)

func TestBeatsComeAtTheSameMomentsWhateverTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Now()
		for range 5 {
			time.Sleep(13*time.Second + time.Millisecond)
			l, fars := dialled(t, func(cfg *Config) { cfg.Since = since })
			f := <-fars
			f.hello()
			f.write(helloOf(2, 0))
			f.want(wire.TypePing) // at once
			for range 3 {
				f.want(wire.TypePing)
				if after := time.Since(since); after%(10*time.Second) != 0 {
					t.Errorf("a ping %v after the start of the node", after)
				}
			}
			if !isUp(l) {
				t.Error("it is down")
			}
		}
	})
}

func TestABeatThatWasMissedDoesNotShiftTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Now()
		time.Sleep(4 * time.Second)
		b := newBeat(since, 10*time.Second)
		defer b.stop()
		for _, busy := range []time.Duration{0, 9 * time.Second, 17 * time.Second, 40 * time.Second} {
			<-b.c
			b.next()
			time.Sleep(busy)
		}
		for range 2 { // the first one has waited
			<-b.c
			b.next()
		}
		if after := time.Since(since); after != 90*time.Second {
			t.Errorf("a beat at %v", after)
		}
	})
}

func TestReceiverIsNeverSilentForLongerThanTwoHeartbeats(t *testing.T) {
	for _, phase := range []time.Duration{0, time.Millisecond, 5 * time.Second, 10*time.Second - 1} {
		synctest.Test(t, func(t *testing.T) {
			f, _ := served(t, newInbound(&mailbox{}))
			f.write(helloOf(1, 0))
			f.hello()
			time.Sleep(10*time.Second + phase)
			for range 3 { // as long as pings come they are answered, and there is no more
				f.write(wire.AppendPing(nil, wire.Ping{ID: 1}))
				f.want(wire.TypePong, wire.TypeAck)
				time.Sleep(10 * time.Second)
			}
			last := time.Now().Add(-10 * time.Second)
			for range 3 {
				f.want(wire.TypeAck)
				if silence := time.Since(last); silence > 20*time.Second {
					t.Errorf("silent for %v", silence)
				}
				last = time.Now()
			}
		})
	}
}

func TestAReceiverThatAnswersSaysNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := served(t, newInbound(&mailbox{}))
		f.write(helloOf(1, 0))
		f.hello()
		time.Sleep(3 * time.Second)
		for range 20 {
			f.write(wire.AppendPing(nil, wire.Ping{ID: 1}))
			f.want(wire.TypePong)
			time.Sleep(10 * time.Second)
		}
	})
}
