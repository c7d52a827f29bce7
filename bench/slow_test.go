package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vm "kozo/internal/vmlab/machine"
)

// least is as little as can be measured.
var least = slowLoad{Rounds: 1, Samples: 10, Warm: 50 * time.Millisecond, Length: 300 * time.Millisecond}

func (v *slowLink) check(t *testing.T) {
	t.Helper()
	if v.Connect.Median <= 0 || v.PerSecond.Median <= 0 || v.P50.Median <= 0 || v.P99.Median < v.P50.Median || v.LatencyOf != least.Samples {
		t.Errorf("something was not measured: %+v", v)
	}
}

// Real nodes over real BlueZ, as far as to see that it can be measured.
func TestOverBluetooth(t *testing.T) {
	if testing.Short() {
		t.Skip("a virtual machine takes too long for -short")
	}
	if err := vm.Prepare(); err != nil {
		t.Skip(err)
	}
	program := filepath.Join(t.TempDir(), "bench")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	v, err := measureOverBluetooth(t.Context(), least, program, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	v.check(t)
	for _, fact := range []string{"QEMU ", "Linux 6.", "BlueZ 5."} {
		if !strings.Contains(v.Machine, fact) {
			t.Errorf("%q does not say %q", v.Machine, fact)
		}
	}
}

// Real nodes over a real Tor network.
func TestOverTor(t *testing.T) {
	if testing.Short() {
		t.Skip("a Tor network takes too long for -short")
	}
	v, err := measureOverTor(t.Context(), least, t.Logf)
	if errors.Is(err, errUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	v.check(t)
}

// Where a part cannot be measured, that is said, and nothing is recorded.
func TestSlowPartsThatAreMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	program := filepath.Join(t.TempDir(), "bench")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := measureOverBluetooth(t.Context(), least, program, t.Logf); !errors.Is(err, errUnavailable) || !strings.Contains(err.Error(), "qemu-system-x86") {
		t.Errorf("without an emulator: %v", err)
	}
	r := &results{Parts: map[string]partRecord{}}
	var said []string
	say := func(format string, a ...any) { said = append(said, format) }
	if err := measureSlowLinks(t.Context(), options{parts: []string{bluetoothPart}, rounds: 1}, r, say); err != nil {
		t.Fatal(err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "is left out") || len(r.Parts) != 0 || r.Bluetooth != nil {
		t.Errorf("it says %q and records %+v", said, r)
	}
}

// A program that needs libraries would fail in the machine, where nobody sees why.
func TestStatic(t *testing.T) {
	if err := static("/bin/sh"); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("the shell: %v", err)
	}
	if err := static("slow_test.go"); err == nil || !strings.Contains(err.Error(), "cannot run in a virtual machine") {
		t.Errorf("a file that is no program: %v", err)
	}
}

func TestSlowText(t *testing.T) {
	one := func(v float64) spread { return spread{Median: v, Min: v / 2, Max: v * 2} }
	r := &results{Machine: machine{CPU: "Abacus", Cores: 2},
		Parts: map[string]partRecord{bluetoothPart: {When: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Rounds: 3}}}
	if text := r.tableBluetooth(); text != "Not measured yet.\n" {
		t.Error(text)
	}
	r.Bluetooth = &overBluetooth{slowLink{Connect: one(2900), PerSecond: one(100), Size: 4096, P50: one(5000), P99: one(20_000), Rate: 20}, "a box"}
	const want = `Measured on 2026-11-23 in 3 rounds, on 2 cores of an Abacus that others were using as well, in a virtual machine (a box).

| | median | range |
|---|---:|---:|
| from the start of two nodes to the first link | 2.9 s | 1.4 to 5.8 |
| messages of 4,096 bytes | 100 a second | 50 to 200 |
| their content | 410 kB a second | 205 to 819 |
| from role to role at 20 a second, half of the messages | 5.0 ms | 2.5 to 10.0 |
| the same, 99 of 100 | 20.0 ms | 10.0 to 40.0 |
`
	if text := r.tableBluetooth(); text != want {
		t.Error(text)
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"bluetooth":{"connect_ms"`) {
		t.Errorf("the record: %s, %v", text, err)
	}
}
