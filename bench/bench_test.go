package main

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"kozo"
	"kozo/bench/internal/traffic"
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
		parts: parts[:], systems: []string{kozoSystem, "ssh", "tls"}, neighbours: &neighbours{}, sizes: []int{256}, receivers: 2, rounds: 1,
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
	if n := len(r.Throughput); n != 3 {
		t.Errorf("%d throughputs, not 3", n)
	}
	for _, v := range append(r.Throughput, r.Fanout...) {
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
	if len(r.Fanout) != 1 || r.Fanout[0].Receivers != 2 || len(r.Resident) != 3 || r.Resident[0].KiB.Median <= 0 {
		t.Errorf("something was not measured: %+v, %+v", r.Fanout, r.Resident)
	}
	for _, word := range []string{"messages/s", "p99.9", "Full mesh", "idle nodes", "kozo / ssh"} {
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

func TestFloorCountsWholeMessages(t *testing.T) {
	source, err := traffic.NewSource(100)
	if err != nil {
		t.Fatal(err)
	}
	var stream []byte
	for range 3 {
		stream = source.Append(stream)
	}
	m := traffic.NewMeter(0, 0)
	if err := floorCount(bytes.NewReader(stream[:len(stream)-1]), m); err == nil {
		t.Error("half a message is no error")
	}
	if n := m.Received(); n != 2 {
		t.Errorf("%d whole messages, not 2", n)
	}
}

func TestFloorHasTheCipherOfNodes(t *testing.T) {
	settings, err := kozo.OptionsOf(reflect.TypeFor[system.Settings]())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range settings {
		if o.Name != "cipher" {
			continue
		}
		first, _, _ := strings.Cut(o.Default, ",")
		if !slices.ContainsFunc(floors[:], func(f floor) bool { return f.cipher == first }) {
			t.Errorf("nodes prefer %s, and no floor has that", first)
		}
	}
}
