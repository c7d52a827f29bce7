package vmlab

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const emulator = "qemu-system-x86_64"

// run is Run on the host.
func run(t *testing.T, lab Lab) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the lab is made of Debian's packages for amd64")
	}
	if _, err := exec.LookPath(emulator); err != nil {
		t.Skip(emulator + " is not installed; Debian has it in qemu-system-x86")
	}
	if len(lab.Machines) > 1 && os.Geteuid() != 0 {
		t.Skip("only root can run the radio that several machines share")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	cache = filepath.Join(cache, "kozo-vmlab")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Skip(err)
	}
	built := buildAll(t, lab)

	// Several packages are tested at the same time, and a machine needs a whole
	// processor to be in time.
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	p, err := fetch(cache)
	if errors.Is(err, errNoLab) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	base, err := os.ReadFile(p.image())
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "image.cpio")
	if err := os.WriteFile(image, append(base, makeOverlay(t, lab, built)...), 0o644); err != nil {
		t.Fatal(err)
	}
	boot(t, lab, p, image)
}

// buildAll builds the tests and the programs, and says where they are.
func buildAll(t *testing.T, lab Lab) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, pkg := range lab.Programs {
		build(t, dir, name, "build", pkg)
	}
	build(t, dir, "tests", "test", "-c", ".")
	return dir
}

// makeOverlay is the part of the machine that depends on the test.
func makeOverlay(t *testing.T, lab Lab, dir string) []byte {
	t.Helper()
	var a archive
	for name := range lab.Programs {
		if err := a.copy("usr/bin/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.copy("test/tests", filepath.Join(dir, "tests")); err != nil {
		t.Fatal(err)
	}
	for name, file := range lab.Files {
		if err := a.copy("test/"+name, file); err != nil {
			t.Fatal(err)
		}
	}
	a.file("init", guestScript, 0o755)
	controllers := lab.Controllers
	if len(lab.Machines) > 0 {
		controllers = 1
	}
	a.file("etc/lab.conf", fmt.Appendf(nil, "CONTROLLERS=%d\nTEST_ARGS='-test.v -test.run %s -test.timeout %v'\n",
		controllers, pattern(t.Name(), len(lab.Machines) > 0), timeLimit(t, lab)), 0o644)
	return a.end()
}

// timeLimit leaves the tests on the host a moment to say what happened.
func timeLimit(t *testing.T, lab Lab) time.Duration {
	limit := cmp.Or(lab.Timeout, defaultTimeout)
	if end, ok := t.Deadline(); ok {
		limit = min(limit, time.Until(end)-5*time.Second)
	}
	return limit.Truncate(time.Second)
}

const defaultTimeout = 4 * time.Minute

// pattern is what the tests inside run: this test, and what -run says of its
// subtests, of which the first is the machine if there are several.
func pattern(name string, several bool) string {
	p := "^" + regexp.QuoteMeta(name) + "$"
	f := flag.Lookup("test.run")
	if f == nil {
		return p
	}
	_, subtests, ok := strings.Cut(f.Value.String(), "/")
	if several {
		_, subtests, ok = strings.Cut(subtests, "/")
	}
	if ok {
		p += "/" + strings.ReplaceAll(subtests, "'", "")
	}
	return p
}

// build runs the go command for the machine.
func build(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	args = append(args[:len(args)-1:len(args)-1], "-o", filepath.Join(dir, name), args[len(args)-1])
	c := exec.Command("go", args...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// lock waits until no other process holds the lock.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}

// boot runs the machines until they are through, and reports.
func boot(t *testing.T, lab Lab, p parts, image string) {
	t.Helper()
	limit := timeLimit(t, lab)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	out := t.TempDir()
	machines := lab.Machines
	var radio string
	if len(machines) == 0 {
		machines = []string{""}
	} else {
		radio = startRadio(t, p)
	}
	consoles := make([]bytes.Buffer, len(machines))
	failures := make([]error, len(machines))
	var running sync.WaitGroup
	for i, machine := range machines {
		running.Go(func() {
			c := qemu(ctx, p, image, out, machine, radio)
			c.Stdout, c.Stderr = &consoles[i], &consoles[i]
			failures[i] = runBound(c)
		})
	}
	running.Wait()
	for i, machine := range machines {
		fault := failures[i]
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			fault = fmt.Errorf("the machine was not through after %v", limit)
		}
		if len(lab.Machines) == 0 {
			report(t, out, machine, fault, consoles[i].String())
			continue
		}
		t.Run(machine, func(t *testing.T) {
			report(t, out, machine, fault, consoles[i].String())
		})
	}
}

func qemu(ctx context.Context, p parts, image, out, machine, radio string) *exec.Cmd {
	args := []string{"-n", "10", emulator, "-M", "pc", "-accel", "tcg", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-virtfs", "local,path=" + out + ",mount_tag=out,security_model=none", "-kernel", p.kernel(), "-initrd", image,
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable random.trust_cpu=on cryptomgr.notests machine=" + machine}
	if radio != "" {
		// Not a serial port: the emulated one loses bytes.
		args = append(args, "-chardev", "socket,id=radio,path="+radio, "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=radio")
	}
	return exec.CommandContext(ctx, "nice", args...)
}

// startRadio runs the controllers of several machines, which find it at a socket.
// Its socket has a fixed name in /tmp, so it gets a root of its own.
func startRadio(t *testing.T, p parts) (socket string) {
	t.Helper()
	// Not t.TempDir: the path of a socket is short.
	root, err := os.MkdirTemp("", "radio")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.CopyFS(root, os.DirFS(p.radioRoot())); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c := exec.CommandContext(ctx, "/usr/bin/btvirt", "-s")
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	ended := make(chan error, 1)
	go func() { ended <- runBound(c) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	// The other sockets that it has need a cryptography API of the host's kernel.
	socket = filepath.Join(root, "tmp/bt-server-bredr")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return socket
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("btvirt ended: %v", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("btvirt does not open its socket")
		}
	}
}

// runBound runs a program that dies with this process.
func runBound(c *exec.Cmd) error {
	// The signal is tied to the thread that starts the program.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return c.Run()
}
