package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const root = "../.."

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func pages() []string { return []string{"docs/writing-roles.md", "docs/writing-transports.md"} }

// TestPagesShowTheFiles compares what the pages show with the files that are
// compiled.
func TestPagesShowTheFiles(t *testing.T) {
	marked := regexp.MustCompile("(?s)<!-- example: (\\S+) -->\n```(go|yaml)\n(.*?)\n```\n")
	fenced := regexp.MustCompile("(?m)^```(go|yaml)$")
	for _, name := range pages() {
		text := page(t, name)
		shown := marked.FindAllStringSubmatch(text, -1)
		if all := len(fenced.FindAllString(text, -1)); all != len(shown) || all < 2 {
			t.Errorf("%s: %d of %d pieces of code say which file they are from", name, len(shown), all)
		}
		for _, m := range shown {
			if !strings.Contains(page(t, m[1]), m[3]) {
				t.Errorf("%s shows what is not in %s:\n%s", name, m[1], m[3])
			}
		}
	}
}

// build builds the program of the example.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "greenhouse")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// TestPagesShowWhatIsPrinted runs the commands of the pages.
func TestPagesShowWhatIsPrinted(t *testing.T) {
	program := build(t)
	session := regexp.MustCompile("(?s)```console\n\\$ greenhouse ((?:types|check) [^\n]*)\n(.*?)\n```\n")
	ran := 0
	for _, name := range pages() {
		for _, m := range session.FindAllStringSubmatch(page(t, name), -1) {
			ran++
			cmd := exec.Command(program, strings.Fields(m[1])...)
			var out, errs strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Run(); err != nil {
				t.Errorf("%s: greenhouse %s: %v", name, m[1], err)
			}
			if got := strings.TrimRight(errs.String()+out.String(), "\n"); got != m[2] {
				t.Errorf("%s: greenhouse %s prints something else:\n%s", name, m[1], got)
			}
		}
	}
	if ran < 3 {
		t.Errorf("only %d commands were found", ran)
	}
}

// TestModuleOfItsOwn runs the commands that begin a module outside of this one,
// and builds the example there.
func TestModuleOfItsOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the whole program once more")
	}
	dir := t.TempDir()
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	house := filepath.Join(dir, "house")
	if err := os.Symlink(here, filepath.Join(dir, "kozo")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"main.go", "thermostat/thermostat.go", "unixsocket/unixsocket.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(house, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		moved := strings.ReplaceAll(string(text), "kozo/examples/greenhouse", "example.com/house")
		if err := os.WriteFile(to, []byte(moved), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	commands := regexp.MustCompile(`(?m)^\$ (go mod .*)$`).FindAllStringSubmatch(page(t, "docs/writing-roles.md"), -1)
	if len(commands) != 3 {
		t.Fatalf("the page has %d commands", len(commands))
	}
	for _, m := range append(commands, []string{"", "go build -o house ."}) {
		cmd := exec.Command("sh", "-c", m[1])
		cmd.Dir = house
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", m[1], err, out)
		}
	}
	if out, err := exec.Command(filepath.Join(house, "house"), "types", "thermostat").Output(); err != nil || !strings.Contains(string(out), "Switches the heater") {
		t.Errorf("the program of that module says %v: %s", err, out)
	}
}

// TestNetworkRuns runs the network of the pages: two nodes of this machine, the
// transport and the role of the example, and a person who plays the thermometer.
func TestNetworkRuns(t *testing.T) {
	program := build(t)
	dir, err := os.MkdirTemp("/tmp", "kozo") // a short path, for the sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	greenhouse := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	config := strings.ReplaceAll(page(t, "examples/greenhouse/network.yml"), "/run/kozo/", dir+"/")
	for _, node := range []string{"greenhouse", "panel"} {
		if out, err := greenhouse("keygen", node+".key"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		key, err := os.ReadFile(filepath.Join(dir, node+".key.pub"))
		if err != nil {
			t.Fatal(err)
		}
		config = regexp.MustCompile(`(`+node+`\.key\n +publicKey: ).*`).ReplaceAllString(config, "${1}"+strings.TrimSpace(string(key)))
	}
	if err := os.WriteFile(filepath.Join(dir, "network.yml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	out := map[string]*os.File{}
	for _, node := range []string{"greenhouse", "panel"} {
		file, err := os.Create(filepath.Join(dir, node+".out"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		out[node] = file
		cmd := exec.Command(program, "run", "network.yml", node)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, file, file
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s: %v", node, err)
			}
		}()
	}
	said := func(node string) string {
		text, _ := os.ReadFile(out[node].Name())
		return string(text)
	}
	send := regexp.MustCompile(`(?m)^\$ greenhouse (send .*)$`).FindStringSubmatch(page(t, "docs/writing-roles.md"))
	if send == nil {
		t.Fatal("the page does not send anything")
	}
	for !strings.Contains(said("greenhouse"), "tomatoes: heater on\n") {
		// The first ones may come before the link is up.
		if text, err := greenhouse(append(strings.Fields(send[1]), "--node", "panel")...); err != nil && ctx.Err() != nil {
			t.Fatalf("%v: %s\n%s\n%s", err, text, said("greenhouse"), said("panel"))
		}
		time.Sleep(100 * time.Millisecond)
	}
	status, err := greenhouse("status", "--node", "greenhouse")
	if err != nil || !strings.Contains(status, "thermostat") || !strings.Contains(status, "unix") {
		t.Errorf("%v\n%s", err, status)
	}
}
