package talk

import (
	"fmt"
	"math"
	"time"

	"kozo/internal/extern/protocol"
)

// The bounds of the interval between two heartbeats.
const (
	fastestBeat = 100 * time.Millisecond
	slowestBeat = time.Hour
)

// setBeat takes the interval of a hello, in seconds; 0 means no heartbeats.
func (t *Talk) setBeat(seconds float64) error {
	if seconds == 0 {
		return nil
	}
	if seconds < fastestBeat.Seconds() || seconds > slowestBeat.Seconds() || math.IsNaN(seconds) {
		return fmt.Errorf(`"heartbeat" in its hello is %v; it is a number of seconds from %v to %v`, seconds, fastestBeat.Seconds(), slowestBeat.Seconds())
	}
	t.beat = time.Duration(seconds * float64(time.Second))
	if t.cfg.Grease {
		t.beat = min(t.beat, time.Second)
	}
	return nil
}

// watch sends heartbeats, and returns an error when one is not answered.
func (t *Talk) watch(stop <-chan struct{}) error {
	select {
	case <-stop:
		return nil
	case <-t.greeted:
	}
	if t.beat == 0 {
		<-stop
		return nil
	}
	tick := time.NewTicker(t.beat)
	defer tick.Stop()
	n, answered, since := uint64(0), uint64(0), time.Time{} // since: when ping n was due
	for {
		select {
		case <-stop:
			return nil
		case answered = <-t.pongs:
		case <-tick.C:
			if answered != n && time.Since(since) >= 2*t.beat-t.beat/10 {
				return fmt.Errorf("it has not answered a heartbeat for %v", (2 * t.beat).Round(time.Millisecond))
			}
			if answered != n {
				continue // it cannot be faster than one by one
			}
			n++
			since = time.Now()
			select {
			case t.replies <- protocol.Append(nil, protocol.Ping{Op: "ping", N: n}):
			default: // it does not even read what it has asked for
			}
		}
	}
}
