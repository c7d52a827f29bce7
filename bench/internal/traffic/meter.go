package traffic

import (
	"encoding/json"
	"io"
	"slices"
	"sync/atomic"
	"time"
)

// Report is what a receiving process says of itself on its standard output, one
// JSON object a line.
type Report struct {
	At       int64  `json:"at"`       // Unix nanoseconds
	First    int64  `json:"first"`    // when the first message arrived, Unix nanoseconds
	Received uint64 `json:"received"` // messages so far
	Missing  uint64 `json:"missing"`  // messages that were sent before the last one received, and did not arrive

	Latency *Quantiles `json:"latency,omitempty"` // only once, when there are enough samples
}

// Quantiles of the time from sending to receiving, in microseconds.
type Quantiles struct {
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

// reportEvery is short enough to place the begin and the end of a measurement,
// and long enough to cost nothing.
const reportEvery = 20 * time.Millisecond

// Meter counts at the receiver. The receiver calls Count; Run runs beside it.
type Meter struct {
	received, missing atomic.Uint64
	first             atomic.Int64

	// Counts makes it report how many messages there are although it measures
	// latency. It is set before Run.
	Counts bool

	skip      time.Duration
	samples   int // of latency
	latencies []time.Duration
	result    chan Quantiles
}

// NewMeter returns a meter that, if samples is not 0, reports the latency of so
// many messages. It leaves out those that were sent earlier than skip after the
// first arrival: they have waited for the connection.
func NewMeter(skip time.Duration, samples int) *Meter {
	return &Meter{skip: skip, samples: samples, latencies: make([]time.Duration, 0, samples), result: make(chan Quantiles, 1)}
}

// Count counts one message: the sent-th of its sender, sent at that time. It is not
// safe for concurrent use. How many are missing is one number: that of a report can
// be of a later message than the rest, and is right all the same.
func (m *Meter) Count(sent uint64, at time.Time) {
	now := time.Now()
	n := m.received.Load() + 1
	if n == 1 {
		m.first.Store(now.UnixNano())
	}
	m.missing.Store(sent - n)
	m.received.Store(n)
	switch {
	case len(m.latencies) == m.samples:
	case at.UnixNano() < m.first.Load()+int64(m.skip):
	default:
		m.latencies = append(m.latencies, now.Sub(at))
		if len(m.latencies) == m.samples {
			m.result <- quantilesOf(m.latencies)
		}
	}
}

// Received returns how many messages there were.
func (m *Meter) Received() uint64 { return m.received.Load() }

// Run writes reports until done is closed: the first message at once, then how
// many there were; when latency is measured nothing but the latency, so that
// the reports are not what is measured.
func (m *Meter) Run(done <-chan struct{}, out io.Writer) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	last := uint64(0)
	for {
		select {
		case <-done:
			return nil
		case q := <-m.result:
			if err := m.write(out, &q); err != nil {
				return err
			}
		case <-tick.C:
			n := m.received.Load()
			if n == last || m.samples > 0 && last > 0 && !m.Counts {
				continue
			}
			last = n
			if err := m.write(out, nil); err != nil {
				return err
			}
		}
	}
}

func (m *Meter) write(out io.Writer, q *Quantiles) error {
	r := m.report()
	r.Latency = q
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

// report is how far it is. What is stored last is read first.
func (m *Meter) report() Report {
	r := Report{At: time.Now().UnixNano(), Received: m.received.Load()}
	r.First, r.Missing = m.first.Load(), m.missing.Load()
	return r
}

func quantilesOf(samples []time.Duration) Quantiles {
	slices.Sort(samples)
	at := func(q float64) float64 {
		i := min(int(q*float64(len(samples))), len(samples)-1)
		return float64(samples[i]) / float64(time.Microsecond)
	}
	return Quantiles{P50: at(0.5), P99: at(0.99), P999: at(0.999), Max: at(1)}
}
