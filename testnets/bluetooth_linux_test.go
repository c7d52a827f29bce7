package testnets_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kozo/internal/status"
	"kozo/internal/vmlab"
)

const airPatience = 90 * time.Second

var kozoProgram = map[string]string{"kozo": "kozo/cmd/kozo"}

// TestBluetooth runs real nodes over the real bluetoothd, both on one machine
// with two controllers.
func TestBluetooth(t *testing.T) {
	vmlab.Run(t, vmlab.Lab{
		Controllers: 2, Programs: kozoProgram,
		Files: map[string]string{"config.yml": "bluetoothnet/config.yml"},
	}, func(t *testing.T) {
		t.Run("network", testBluetoothNetwork)
		t.Run("moving", testMovingOverBluetooth)
	})
}

// program is a command that runs beside the test, and what it has printed.
type program struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// count returns how often it has printed something.
func (p *program) count(words string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Count(p.text.String(), words)
}

func launch(t *testing.T, runDir string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command("kozo", args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "KOZO_RUN_DIR="+runDir)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(airPatience):
			t.Error("kozo does not stop")
			_ = p.cmd.Process.Kill()
		}
		if t.Failed() {
			t.Log(p.text.String())
		}
	})
	return p
}

// ask returns what kozo status says of a node.
func ask(t *testing.T, runDir, node string) (status.Node, bool) {
	t.Helper()
	c := exec.Command("kozo", "status", "--json", "--node", node)
	c.Env = append(os.Environ(), "KOZO_RUN_DIR="+runDir)
	out, err := c.Output()
	var s status.Node
	return s, err == nil && json.Unmarshal(out, &s) == nil
}

func testBluetoothNetwork(t *testing.T) {
	const runDir = "/tmp/run"
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := launch(t, runDir, "testnet", "config.yml")
	more := func(what string) {
		t.Helper()
		before := p.count("cuckoo! tick from timer1@clock")
		vmlab.Eventually(t, airPatience, "ticks arrive "+what, func() bool {
			return p.count("cuckoo! tick from timer1@clock") >= before+3
		})
	}
	transport := func(what string, holds func(status.Transport) bool) {
		t.Helper()
		last := ""
		defer func() {
			if t.Failed() {
				t.Log(last)
			}
		}()
		vmlab.Eventually(t, airPatience, what, func() bool {
			s, ok := ask(t, runDir, "scribe")
			last = fmt.Sprintf("%+v", s.Transports)
			return ok && len(s.Transports) == 1 && holds(s.Transports[0])
		})
	}
	listens := func(tr status.Transport) bool { return strings.Contains(tr.Listens, "hci1") && tr.Error == "" }

	more("over Bluetooth, between nodes that have found each other")
	transport("it listens", listens)

	vmlab.Bluetoothd.Stop(t)
	transport("the status says that bluetoothd is missing", func(tr status.Transport) bool {
		return strings.Contains(tr.Error, "systemctl enable --now bluetooth")
	})
	more("over links that outlive bluetoothd")
	vmlab.Bluetoothd.Start(t)
	transport("it listens again after bluetoothd came back", listens)

	vmlab.Radio.Stop(t)
	transport("the status says that the adapter is missing", func(tr status.Transport) bool {
		return strings.Contains(tr.Error, "no Bluetooth adapter")
	})
	vmlab.Radio.Start(t)
	transport("it listens again after the adapter came back", listens)
	more("after the adapter came back")
}

// TestBluetoothBetweenMachines runs a node on each of two machines, which have
// nothing but the radio between them.
func TestBluetoothBetweenMachines(t *testing.T) {
	vmlab.Run(t, vmlab.Lab{
		Machines: []string{"clock", "scribe"}, Programs: kozoProgram,
		Files: map[string]string{"config.yml": "bluetoothnet/config.yml"},
	}, func(t *testing.T) {
		me := vmlab.Machine()
		key := filepath.Join("/tmp", me)
		if out, err := exec.Command("kozo", "keygen", key).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		public, err := os.ReadFile(key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(vmlab.SharedDir, me+".pub"), public, 0o644); err != nil {
			t.Fatal(err)
		}
		vmlab.Post(t, "key of "+me)
		t.Run("network", testNetworkBetweenMachines)
		t.Run("on demand", testOnDemandBetweenMachines)
	})
}

func testNetworkBetweenMachines(t *testing.T) {
	me := vmlab.Machine()
	p := launch(t, "/tmp", "run", machineConfig(t), me)
	if me == "scribe" {
		vmlab.Eventually(t, airPatience, "ticks arrive", func() bool {
			return p.count("cuckoo! tick from timer1@clock") >= 3
		})
		vmlab.Post(t, "ticks have arrived")
	}
	vmlab.Await(t, "ticks have arrived", airPatience)
	// Each is reachable, and has dialled the other.
	awaitLink(t, "the link to the other is up", func(l status.Link) bool {
		return l.State == "up" && l.Transport == "bluetooth"
	})
	together(t, "through")
}

// awaitLink waits for a state of the only link of the machine.
func awaitLink(t *testing.T, what string, holds func(status.Link) bool) (l status.Link) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%+v", l)
		}
	}()
	vmlab.Eventually(t, airPatience, what, func() bool {
		s, ok := ask(t, "/tmp", vmlab.Machine())
		if !ok || len(s.Links) != 1 {
			return false
		}
		l = s.Links[0]
		return holds(l)
	})
	return l
}

// together waits until both machines have come so far.
func together(t *testing.T, where string) {
	t.Helper()
	vmlab.Post(t, vmlab.Machine()+" is "+where)
	for _, machine := range []string{"clock", "scribe"} {
		vmlab.Await(t, machine+" is "+where, airPatience)
	}
}

// machineConfig is the file of the network with the keys of the machines, which
// have one adapter each, and with other words replaced besides.
func machineConfig(t *testing.T, replace ...string) string {
	t.Helper()
	data, err := os.ReadFile("config.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), "adapter: hci1", "adapter: hci0")
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("config.yml does not have %q", replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	text = strings.ReplaceAll(text, "/var/lib/kozo/mykey", filepath.Join("/tmp", vmlab.Machine()))
	text = strings.ReplaceAll(text, "roleStorage: storage", "roleStorage: /tmp/storage")
	for _, machine := range []string{"clock", "scribe"} {
		vmlab.Await(t, "key of "+machine, airPatience)
		key, err := os.ReadFile(filepath.Join(vmlab.SharedDir, machine+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		// The keys are the first and the second one of the file.
		before, rest, _ := strings.Cut(text, "publicKey: ssh-ed25519 ")
		_, after, _ := strings.Cut(rest, "\n")
		text = before + "publicKey:  " + strings.TrimSpace(string(key)) + "\n" + after
	}
	if err := os.MkdirAll("/tmp/storage", 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join("/tmp", "config.yml")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return config
}
