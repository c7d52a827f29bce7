package secure

import (
	"testing"
	"testing/synctest"
	"time"

	"kozo"
)

// watched makes a connection whose two ends have watches of their own, each of
// which other connections may have too. At both ends somebody reads.
func watched(t *testing.T, net network, mine, theirs *Watch, idle time.Duration) (near, far *Stream) {
	config := func(w *Watch) *Config {
		return &Config{Watch: w, IdleTimeout: func(kozo.NodeName) time.Duration { return idle }}
	}
	x, y := net(t)
	a, b := served(Proven(x, "b", true, config(mine))), served(Proven(y, "a", false, config(theirs)))
	near, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	far = b.accept(t)
	for _, s := range []*Stream{near, far} {
		go func() {
			for err := error(nil); err == nil; {
				_, err = s.Read(make([]byte, 16))
			}
		}()
	}
	return near, far
}

func TestOneWatchEndsEachConnectionInItsTime(t *testing.T) {
	for _, every := range []time.Duration{0, 10 * time.Second, 7 * time.Second, time.Hour} {
		t.Run(every.String(), func(t *testing.T) { endsInTime(t, every) })
	}
}

func endsInTime(t *testing.T, every time.Duration) {
	inMemory(t, func(t *testing.T, net network) {
		w, other := NewWatch(time.Now(), every), NewWatch(time.Now(), every)
		var patient *Stream
		for range 5 {
			patient, _ = watched(t, net, w, other, time.Minute)
		}
		silent, once := watched(t, net, w, other, 25*time.Second)
		time.AfterFunc(20*time.Second, func() {
			once.Write([]byte("x"))
			silent.Write([]byte("x"))
		})
		lively, voice := watched(t, net, w, other, 25*time.Second)
		go beat(voice, voice.conn, 10*time.Second)
		go beat(lively, lively.conn, 10*time.Second)
		start := time.Now()
		<-silent.conn.Done()
		if took := time.Since(start); took != 45*time.Second {
			t.Errorf("a silence of 25s after 20s was noticed after %v", took)
		}
		<-patient.conn.Done()
		if took := time.Since(start); took != time.Minute {
			t.Errorf("a silence of a minute was noticed after %v", took)
		}
		time.Sleep(time.Hour)
		if err := lively.conn.Err(); err != nil {
			t.Errorf("one that is alive has ended: %v", err)
		}
		lively.Close()
		synctest.Wait()
		for _, w := range []*Watch{w, other} {
			w.mu.Lock()
			if len(w.conns) != 0 || w.next != 0 || w.timer.Stop() {
				t.Errorf("after the last connection it watches over %d, until %v", len(w.conns), w.next)
			}
			w.mu.Unlock()
		}
	})
}

func TestOneWatchSleepsWhateverTheNumberOfConnections(t *testing.T) {
	inMemory(t, func(t *testing.T, net network) {
		w, other := NewWatch(time.Now(), 0), NewWatch(time.Now(), 0)
		for range 20 {
			near, far := watched(t, net, w, other, 25*time.Second)
			defer near.Close()
			go beat(far, far.conn, 10*time.Second)
			go beat(near, near.conn, 10*time.Second)
			time.Sleep(490 * time.Millisecond)
		}
		times := map[time.Duration]bool{}
		for range 1000 {
			time.Sleep(time.Second)
			w.mu.Lock()
			times[w.next] = true
			w.mu.Unlock()
		}
		if len(times) > 1000/15+1 {
			t.Errorf("it woke up %d times in 1,000 s", len(times))
		}
	})
}

// TestAWatchWakesUpWithTheBeat counts the times at which a program wakes up for it
// alone.
func TestAWatchWakesUpWithTheBeat(t *testing.T) {
	inMemory(t, func(t *testing.T, net network) {
		const every = 10 * time.Second
		since := time.Now().Add(-3 * time.Second)
		w, other := NewWatch(since, every), NewWatch(time.Now(), 0)
		for range 5 {
			near, far := watched(t, net, w, other, 25*time.Second)
			defer near.Close()
			go beat(far, far.conn, every)
			go beat(near, near.conn, every)
			time.Sleep(1700 * time.Millisecond)
		}
		for range 1000 {
			time.Sleep(time.Second)
			w.mu.Lock()
			next := w.next
			w.mu.Unlock()
			if next%every != 0 {
				t.Fatalf("it wakes up %v after the beginning, which is no beat", next)
			}
		}
	})
}
