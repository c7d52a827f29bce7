package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const emulator = "qemu-system-x86_64"

// Prepare sees to it that there can be machines, and downloads what they are made
// of unless that was done before. The error says why there can be none.
func Prepare() error {
	cache, unlock, err := enter()
	if err != nil {
		return err
	}
	defer unlock()
	_, err = fetch(cache)
	return err
}

// enter returns the directory that has what machines are made of, and keeps others
// out of it: several packages are tested at the same time, and a machine needs a
// whole processor to be in time.
func enter() (cache string, unlock func(), err error) {
	if runtime.GOARCH != "amd64" {
		return "", nil, fmt.Errorf("%w: it is made of Debian's packages for amd64", ErrUnavailable)
	}
	if _, err := exec.LookPath(emulator); err != nil {
		return "", nil, fmt.Errorf("%w: %s is not installed; Debian has it in qemu-system-x86", ErrUnavailable, emulator)
	}
	if cache, err = os.UserCacheDir(); err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	cache = filepath.Join(cache, "kozo-vmlab")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	unlock, err = lock(filepath.Join(cache, "lock"))
	return cache, unlock, err
}

// Facts say of what the machines are made, for who compares what was measured in
// them.
func Facts() string {
	out, _ := exec.Command(emulator, "--version").Output()
	version, _, _ := strings.Cut(strings.TrimPrefix(string(out), "QEMU emulator version "), " ")
	return "one processor, emulated by QEMU " + version
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

// Run runs the machines until they are through, or ctx ends. It first waits for
// other processes that run machines.
func (e *Errand) Run(ctx context.Context) ([]Outcome, error) {
	if len(e.Names) > 1 && os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root can run the radio that several machines share", ErrUnavailable)
	}
	cache, unlock, err := enter()
	if err != nil {
		return nil, err
	}
	defer unlock()
	p, err := fetch(cache)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "kozo-vm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	limit := e.Limit
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	image := filepath.Join(work, "image.cpio")
	if err := e.image(p, limit, image); err != nil {
		return nil, err
	}
	return e.boot(ctx, p, image, work)
}

func (e *Errand) boot(ctx context.Context, p parts, image, work string) ([]Outcome, error) {
	names, socket := e.Names, ""
	if len(names) == 0 {
		names = []string{""}
	} else {
		r, err := startRadio(p, work)
		if err != nil {
			return nil, err
		}
		defer r.stop()
		socket = r.socket
	}
	outcomes := make([]Outcome, len(names))
	var running sync.WaitGroup
	for i, name := range names {
		running.Go(func() {
			var console bytes.Buffer
			c := e.qemu(ctx, p, image, name, socket)
			c.Stdout, c.Stderr = &console, &console
			err := runBound(c)
			if ctx.Err() != nil {
				err = errors.New("the machine was not through in time")
			}
			outcomes[i] = Outcome{Name: name, Err: err, Console: console.String(), dir: e.Dir}
		})
	}
	running.Wait()
	return outcomes, nil
}

func (e *Errand) qemu(ctx context.Context, p parts, image, name, radio string) *exec.Cmd {
	args := []string{"-n", "5", emulator, "-M", "pc", "-accel", "tcg", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-virtfs", "local,path=" + e.Dir + ",mount_tag=out,security_model=none", "-kernel", p.kernel(), "-initrd", image,
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable random.trust_cpu=on cryptomgr.notests machine=" + name}
	if e.Paced {
		args = append(args, "-icount", "shift=1") // two nanoseconds an instruction
	}
	if radio != "" {
		// Not a serial port: the emulated one loses bytes.
		args = append(args, "-chardev", "socket,id=radio,path="+radio, "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=radio")
	}
	return exec.CommandContext(ctx, "nice", args...)
}

// radio runs the controllers of several machines, which find it at a socket.
type radio struct {
	socket string
	cancel context.CancelFunc
	ended  chan error
}

// startRadio starts one. Its socket has a fixed name in /tmp, so it gets a root of
// its own.
func startRadio(p parts, work string) (*radio, error) {
	root := filepath.Join(work, "r") // the path of a socket is short
	if err := os.CopyFS(root, os.DirFS(p.radioRoot())); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o755); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, "/usr/bin/btvirt", "-s")
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	// The other sockets that it has need a cryptography API of the host's kernel.
	r := &radio{socket: filepath.Join(root, "tmp/bt-server-bredr"), cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- runBound(c) }()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(r.socket); err == nil {
			return r, nil
		}
		select {
		case err := <-r.ended:
			cancel()
			return nil, fmt.Errorf("btvirt ended: %w", err)
		default:
		}
		if time.Now().After(end) {
			r.stop()
			return nil, errors.New("btvirt does not open its socket")
		}
	}
}

func (r *radio) stop() {
	r.cancel()
	<-r.ended
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
