package main

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"kozo"
	"kozo/internal/system"
)

// TestMain lets the test binary be the processes that are measured.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// TestBench measures every part in the least way, so that the bench does not rot.
// It judges no figure: those of a busy machine mean nothing.
func TestBench(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the bench reads /proc")
	}
	t.Setenv("GORACE", "atexit_sleep_ms=10") // or each process takes a second to end
	o := options{
		parts: parts[:], systems: []string{kozoSystem, floors[0]}, sizes: []int{256}, rounds: 1,
		warm: 20 * time.Millisecond, length: 100 * time.Millisecond, samples: 50, starts: 1,
		meshes: []int{3}, settle: 50 * time.Millisecond, idle: 100 * time.Millisecond,
	}
	r, err := measure(t.Context(), o, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	r.print(&table)
	t.Log(table.String())
	if n := len(r.Throughput); n != 2 {
		t.Errorf("%d throughputs, not 2", n)
	}
	for _, v := range r.Throughput {
		if v.PerSecond.Median <= 0 || v.CPU.Median <= 0 || v.SenderCPU.Median > v.CPU.Median {
			t.Errorf("nothing was measured: %+v", v)
		}
	}
	for _, v := range r.Latency {
		if v.P50.Median <= 0 || v.P50.Median > v.P999.Median {
			t.Errorf("no latencies: %+v", v)
		}
	}
	if len(r.Mesh) != 1 || r.Mesh[0].Links != 6 || r.Mesh[0].CPU.Median <= 0 || r.Memory.NodeKiB <= 0 || r.Start.Both.Median <= 0 || r.Idle.CPUPercent.Max < 0 {
		t.Errorf("something was not measured: %+v", r)
	}
	for _, word := range []string{"messages/s", "p99.9", "Full mesh", "idle nodes"} {
		if !strings.Contains(table.String(), word) {
			t.Errorf("the table does not have %q", word)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestSpread(t *testing.T) {
	if s := spreadOf([]float64{3, 1, 2}); s != (spread{Median: 2, Min: 1, Max: 3}) {
		t.Errorf("of three: %+v", s)
	}
	if s := spreadOf([]float64{4, 1, 2, 3}); s.Median != 2.5 {
		t.Errorf("of four: %+v", s)
	}
	if text := spreadOf([]float64{1.25, 2, 3}).text(1); text != "2.0 (1.2–3.0)" {
		t.Errorf("text: %s", text)
	}
}

func TestQuantiles(t *testing.T) {
	var samples []time.Duration
	for i := range 1000 {
		samples = append(samples, time.Duration(1000-i)*time.Microsecond)
	}
	if q := quantilesOf(samples); q != (quantiles{P50: 501, P99: 991, P999: 1000, Max: 1000}) {
		t.Errorf("%+v", q)
	}
}

func TestFloorCountsWholeMessages(t *testing.T) {
	var stream []byte
	for range 3 {
		stream = appendFloor(stream, make([]byte, 100))
	}
	m := newMeter(0, 0)
	floorCount(bytes.NewReader(stream[:len(stream)-1]), m)
	if n := m.received.Load(); n != 2 {
		t.Errorf("%d whole messages, not 2", n)
	}
}

func TestFloorHasTheCipherOfNodes(t *testing.T) {
	settings, err := kozo.OptionsOf(reflect.TypeFor[system.Settings]())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range settings {
		if first, _, _ := strings.Cut(o.Default, ","); o.Name == "cipher" && first != floors[1] {
			t.Errorf("nodes prefer %s, the floor has %s", first, floors[1])
		}
	}
}
