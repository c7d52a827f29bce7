package main

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	vm "kozo/internal/vmlab/machine"
)

// bluetoothPart measures a link over Bluetooth, inside a virtual machine: two
// nodes, the real bluetoothd, and two controllers that are programs, with no air
// between them. It is measured only if it is asked for, since it needs an emulator.
const bluetoothPart = "bluetooth"

// overBluetooth is what a link over Bluetooth can do there.
type overBluetooth struct {
	slowLink
	Machine string `json:"machine"` // what is emulated, and what runs on it
}

// bluetoothTime bounds the measurement, the start of the machine included.
const bluetoothTime = 15 * time.Minute

// measureOverBluetooth runs a program, which is this one or one with the same
// parts, inside a machine.
func measureOverBluetooth(ctx context.Context, load slowLoad, program string, say func(string, ...any)) (*overBluetooth, error) {
	if err := vm.Prepare(); errors.Is(err, vm.ErrUnavailable) {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	} else if err != nil {
		return nil, err
	}
	if err := static(program); err != nil {
		return nil, err
	}
	text, err := json.Marshal(load)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kozo-bench-air-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	e := vm.Errand{
		Controllers: 2, Dir: dir, Limit: bluetoothTime,
		Files:   map[string]string{"test/bench": program},
		Command: fmt.Sprintf("%s=1 ./bench air '%s'", childVariable, text),
	}
	say("a link over Bluetooth, in a virtual machine")
	outcomes, err := e.Run(ctx)
	if err != nil {
		return nil, err
	}
	return readAir(&outcomes[0])
}

// static says whether a program runs where there is nothing but itself.
func static(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("%s cannot run in a virtual machine: %w", program, err)
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return fmt.Errorf("%s cannot run in a virtual machine, since it needs libraries; build it with CGO_ENABLED=0", program)
	}
	return nil
}

// readAir reads what the program inside has measured.
func readAir(o *vm.Outcome) (*overBluetooth, error) {
	v := &overBluetooth{}
	text, err := os.ReadFile(o.Output())
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		said, _ := os.ReadFile(o.Errors())
		return nil, fmt.Errorf("nothing was measured in the virtual machine: %w (the machine: %v); it said:\n%s\n%s",
			err, o.Err, lastLines(string(said)), lastLines(o.Console))
	}
	v.Machine = vm.Facts() + ", " + v.Machine
	return v, nil
}

// lastLines is the end of a long text.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// runAir measures inside the machine, and writes the result.
func runAir(ctx context.Context, args []string, out io.Writer) error {
	var load slowLoad
	if len(args) != 1 {
		return errors.New("usage: air LOAD")
	}
	if err := json.Unmarshal([]byte(args[0]), &load); err != nil {
		return err
	}
	link, err := measureSlowLink(ctx, load, (*network).moveToBluetooth, func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) })
	if err != nil {
		return err
	}
	version, err := exec.CommandContext(ctx, "bluetoothd", "--version").Output()
	if err != nil {
		return fmt.Errorf("the version of bluetoothd: %w", err)
	}
	v := overBluetooth{*link, fmt.Sprintf("Linux %s, BlueZ %s", firstLine("/proc/sys/kernel/osrelease"), strings.TrimSpace(string(version)))}
	return json.NewEncoder(out).Encode(v)
}

// The addresses of the controllers of a machine.
var controllers = [...]string{"00:AA:01:00:00:00", "00:AA:01:01:00:01"}

// moveToBluetooth gives the nodes bluetooth transports, with an adapter each,
// instead of those over TCP.
func (n *network) moveToBluetooth() error {
	var airs []string
	for i := range n.nodes {
		airs = append(airs, fmt.Sprintf("      bluetooth:\n        uuid: 6f9f2a4e-3c1d-4f0b-9a52-0d6c5b1e7a%02d\n        address: %s\n        adapter: hci%d\n", 11+i, controllers[i], i))
	}
	return n.replaceTCP(airs)
}

func (r *results) tableBluetooth() string {
	if r.Bluetooth == nil {
		return r.slowText(bluetoothPart, nil, "")
	}
	return r.slowText(bluetoothPart, &r.Bluetooth.slowLink, ", in a virtual machine ("+r.Bluetooth.Machine+")")
}
