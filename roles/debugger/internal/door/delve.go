package door

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"

	"kozo/roles/debugger/internal/console"
)

// delve runs the debugger, one at a time.
type delve struct {
	mu   sync.Mutex
	busy bool
	addr string        // where it listens
	came chan struct{} // closed when addr is set, or it has failed to come
}

const (
	delveStarts = 30 * time.Second // how long a forwarded connection waits for it
	delveStops  = 10 * time.Second // how long it has to let go of the node
)

// address returns where Delve listens, and waits for one that is starting.
func (d *delve) address(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, delveStarts)
	defer cancel()
	for {
		d.mu.Lock()
		addr, came := d.addr, d.came
		if came == nil {
			came = make(chan struct{})
			d.came = came
		}
		d.mu.Unlock()
		if addr != "" {
			return addr, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("delve does not run; start it with the command %s", console.Delve)
		case <-came:
		}
	}
}

// set says where Delve listens, or that it does not any more.
func (d *delve) set(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addr = addr
	if addr != "" && d.came != nil {
		close(d.came)
		d.came = nil
	}
}

func (d *delve) claim(busy bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if busy && d.busy {
		return false
	}
	d.busy = busy
	return true
}

var listening = regexp.MustCompile(`listening at: (127\.0\.0\.1:\d+)`)

// attach attaches Delve to the node until ctx ends or Delve does. It goes on
// running at once; a client of Delve halts it.
func (d *delve) attach(ctx context.Context, s *Settings, out io.Writer) error {
	path, err := exec.LookPath("dlv")
	if err != nil {
		return errors.New("there is no dlv on the path of the node; go install github.com/go-delve/delve/cmd/dlv@latest gets it, but not for 32-bit ARM")
	}
	if !d.claim(true) {
		return errors.New("delve is attached already")
	}
	defer d.claim(false)
	if err := console.Ask(ctx, s.Console, console.Request{Line: console.AllowTracer}, io.Discard, out); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, "attach", strconv.Itoa(s.PID), "--headless", "--continue",
		"--accept-multiclient", "--api-version=2", "--listen=127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = delveStops
	says, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	defer d.set("")
	lines := bufio.NewScanner(says)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			if err := goesOn(ctx, m[1]); err != nil {
				fmt.Fprintln(out, err)
				continue
			}
			d.set(m[1])
			fmt.Fprintf(out, "delve is attached; forward a port to it (ssh -L 2345:%s:2345) and run: dlv connect localhost:2345\n"+
				"While it halts the node, nothing works there, and the peers take it for dead. ctrl-C lets go of it.\n", console.Delve)
			continue
		}
		fmt.Fprintln(out, lines.Text())
	}
	_, _ = io.Copy(io.Discard, says)
	if err := cmd.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("delve: %w", err)
	}
	return nil
}

// goesOn waits until Delve has let the node go on. A client that comes before
// that hangs (as of Delve 1.27). It asks by JSON-RPC 1.0, as all clients do.
func goesOn(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, delveStarts)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	answers := json.NewDecoder(conn)
	for id := 1; ; id++ {
		if _, err := fmt.Fprintf(conn, `{"method":"RPCServer.State","params":[{"NonBlocking":true}],"id":%d}`+"\n", id); err != nil {
			return fmt.Errorf("delve does not answer: %w", err)
		}
		var answer struct {
			Result struct{ State struct{ Running bool } }
		}
		if err := answers.Decode(&answer); err != nil {
			return fmt.Errorf("delve does not answer: %w", err)
		}
		if answer.Result.State.Running {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
}
