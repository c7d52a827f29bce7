package traffic

import (
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var samples []time.Duration
	for i := range 1000 {
		samples = append(samples, time.Duration(1000-i)*time.Microsecond)
	}
	if q := quantilesOf(samples); q != (Quantiles{P50: 501, P99: 991, P999: 1000, Max: 1000}) {
		t.Errorf("%+v", q)
	}
}

func TestSinkCountsWhatItWants(t *testing.T) {
	source, err := NewSource(100)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMeter(0, 0)
	sink := NewSink(m)
	first, second := source.Append(nil), source.Append(nil)
	for i, frame := range [][]byte{first, second} {
		if seq, err := sink.TakeFrame(frame); err != nil || seq != uint64(i)+1 {
			t.Errorf("message %d: sequence number %d, %v", i+1, seq, err)
		}
	}
	for _, bad := range [][]byte{nil, {0}, first[:len(first)-1], append(first, 0), {2, 9, 9}} {
		if _, err := sink.TakeFrame(bad); err == nil {
			t.Errorf("%x is taken for a message", bad)
		}
	}
	source.m.Type = "other"
	if _, err := sink.TakeFrame(source.Append(nil)); err == nil {
		t.Error("the filter lets everything through")
	}
	if n := m.Received(); n != 2 {
		t.Errorf("%d messages, not 2", n)
	}
}

func TestWindowWaitsForTheSlowest(t *testing.T) {
	w := NewWindow(10, 2)
	w.Arrived("a", 7)
	if n := w.Open(); n != 10 {
		t.Errorf("while one has said nothing: %d, not 10", n)
	}
	w.Arrived("b", 3)
	w.Arrived("b", 2) // late
	if n := w.Open(); n != 13 {
		t.Errorf("%d, not 13", n)
	}
}

// TestReportsWhileMessagesArrive takes reports all the time: none may have lost
// messages that only were counted between two looks.
func TestReportsWhileMessagesArrive(t *testing.T) {
	const each, most = 1000, 3_000_000 // one of so many is lost
	m := NewMeter(0, 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sent := range uint64(most) {
			if (sent+1)%each != 0 {
				m.Count(sent+1, time.Time{})
			}
		}
	}()
	last := Report{}
	for more := true; more; {
		select {
		case <-done:
			more = false
		default:
		}
		r := m.report()
		if most := (m.Received() + 1 + r.Missing) / each; r.Missing < last.Missing || r.Missing > most {
			t.Fatalf("%d are missing with %d received; before that %d with %d", r.Missing, r.Received, last.Missing, last.Received)
		}
		last = r
	}
	if lost := uint64(most/each - 1); last.Missing != lost || last.Received != most-most/each {
		t.Errorf("%d received and %d missing, of which the last cannot be known", last.Received, last.Missing)
	}
}
