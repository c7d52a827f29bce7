package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
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
		warm: 20 * time.Millisecond, length: 100 * time.Millisecond, samples: 50, starts: 1, most: 10, overload: time.Second,
		networks: []meshSize{{nodes: 3, apart: true, rounds: 1}, {nodes: 3, rounds: 1}}, neighbourhood: 4,
		settle: 50 * time.Millisecond, idle: 100 * time.Millisecond, rest: 100 * time.Millisecond,
	}
	o.parts, o.profiles = append(slices.Clone(o.parts), profilePart), t.TempDir()
	r, err := measure(t.Context(), o, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"sender.pprof", "receiver.pprof"} {
		if info, err := os.Stat(filepath.Join(o.profiles, end)); err != nil || info.Size() == 0 {
			t.Errorf("no profile: %v", err)
		}
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
	if len(r.Mesh) != 2 {
		t.Fatalf("%d meshes, not 2", len(r.Mesh))
	}
	for _, v := range r.Mesh {
		if v.Links != 6 || v.CPU.Median <= 0 || v.FloorCPU.Median <= 0 || v.NodeKiB <= 0 || v.Restart.Whole.Median <= 0 {
			t.Errorf("something of a mesh was not measured: %+v", v)
		}
	}
	if l := r.Mesh[1].Restart.Losses; l.lost() != l.Counted {
		t.Errorf("of %d messages %d were lost in a rolling restart, and %d counted", l.Sent, l.lost(), l.Counted)
	}
	if r.Memory.NodeKiB <= 0 || r.Memory.PeerKiB == 0 || r.Memory.FloorPeerKiB == 0 || r.Start.Both.Median <= 0 || r.Idle.CPUPercent.Max < 0 || r.Idle.Seconds <= 0 {
		t.Errorf("something was not measured: %+v", r)
	}
	if len(r.Fanout) != 1 || r.Fanout[0].Receivers != 2 || len(r.Resident) != 3 || r.Resident[0].KiB.Median <= 0 {
		t.Errorf("something was not measured: %+v, %+v", r.Fanout, r.Resident)
	}
	if n := len(r.Curves); n != 8 {
		t.Errorf("%d points of curves, not 8", n)
	}
	for _, v := range r.Curves {
		if v.PerSecond.Median <= 0 || v.CPU.Median <= 0 {
			t.Errorf("nothing was measured: %+v", v)
		}
	}
	if v := r.Overload; v.Sent != v.Delivered+v.Dropped || v.Received != v.Delivered || !v.Newest || v.Dropped < v.Sent/2 || v.P99.Median <= 0 {
		t.Errorf("the overload does not add up: %+v", v)
	}
	for _, word := range []string{"messages/s", "p99.9", "Full mesh", "idle nodes", "kozo / ssh", "left out, since this machine does not have them: nats, mosquitto, mosquitto-paho, zeromq"} {
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

// TestDocs compares the documents and pictures with the recorded results.
func TestDocs(t *testing.T) {
	r, err := loadResults("results.json")
	if err != nil {
		t.Fatal(err)
	}
	made, err := r.documents("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range made {
		have, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s does not say what bench/results.json does; run make bench-docs", name)
		}
	}
	for table := range tables {
		if !slices.ContainsFunc(documents[:], func(name string) bool { return bytes.Contains(made[name], []byte(blockBegin+table+" -->")) }) {
			t.Errorf("no document shows the table %q", table)
		}
	}
	for part, p := range r.Parts {
		if p.Quick {
			t.Errorf("%s was recorded by a quick run, which is not worth to be shown", part)
		}
	}
}

func TestNumbers(t *testing.T) {
	for want, v := range map[string]float64{"1,234,568": 1234567.8, "999": 999, "-1,000": -1000, "0": 0} {
		if s := number(v, 0); s != want {
			t.Errorf("%v is written %s, not %s", v, s, want)
		}
	}
	for want, v := range map[string]float64{"1,200,000": 1234567.8, "380,000": 375692, "97": 97.02, "9.7": 9.71, "0.05": 0.049} {
		if s := rounded(v); s != want {
			t.Errorf("%v is rounded to %s, not %s", v, s, want)
		}
	}
}

func TestTicksAreRoundAndFew(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		most      int
		want      string
	}{{0.19, 43, 5, "0.3 1 3 10 30"}, {34, 242, 5, "50 100 200"}, {2e4, 5e6, 5, "30,000 100,000 300,000 1,000,000 3,000,000"}, {0.5, 2e6, 6, "1 10 100 1,000 10,000 100,000 1,000,000"}} {
		var list []string
		for _, v := range ticks(c.low, c.high, c.most) {
			list = append(list, plain(v))
		}
		if have := strings.Join(list, " "); have != c.want {
			t.Errorf("from %v to %v: %s, not %s", c.low, c.high, have, c.want)
		}
	}
}

func TestOtherPartsOfTheRecordStay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	first := &results{Parts: map[string]partRecord{"idle": {Rounds: 1}, "throughput": {Rounds: 1}},
		Idle: &idle{Nodes: 3}, Throughput: []throughput{{System: kozoSystem, Size: 256}},
		Ratios: []ratio{{Figure: figureRate, System: "ssh", Size: 256, Receivers: 1, Ratio: spread{Median: 1}}}}
	second := &results{Parts: map[string]partRecord{"idle": {Rounds: 2}}, Idle: &idle{Nodes: 4}}
	for _, r := range []*results{first, second} {
		if err := r.save(file); err != nil {
			t.Fatal(err)
		}
	}
	r, err := loadResults(file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Idle.Nodes != 4 || r.Parts["idle"].Rounds != 2 || len(r.Throughput) != 1 || r.ratio(figureRate, "ssh", 256, 1).Median != 1 {
		t.Errorf("%+v", r)
	}
	other := &results{Machine: machine{CPU: "another"}, Parts: map[string]partRecord{"idle": {}}, Idle: &idle{}}
	if err := other.save(file); err != nil {
		t.Fatal(err)
	}
	if r, err = loadResults(file); err != nil || len(r.Throughput) != 0 {
		t.Errorf("figures of another machine stay: %+v, %v", r, err)
	}
}
