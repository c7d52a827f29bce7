package debugger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kozo"
	"kozo/roles/debugger/internal/console"
	"kozo/roles/debugger/internal/door"
)

// session is a debugging session that is open: the process at the door, and the
// console that it passes commands on to.
type session struct {
	how    string        // to attach
	closed chan struct{} // closed at the end, after why is set
	why    string
}

const (
	opening = 10 * time.Second       // how long the door may take to open
	closing = 600 * time.Millisecond // and to close, before it is killed
)

// open opens a session that ends with ctx at the latest.
func (d *debugger) open(ctx context.Context, env *kozo.Env, say func(level, format string, args ...any)) (*session, error) {
	key, err := env.Inspect.PrivateKey()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kozo-debug-") // for the user alone
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "console")
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	keys := map[string]string{}
	for name, line := range env.Inspect.Keys {
		keys[string(name)] = line
	}
	settings := door.Settings{
		Listen: d.address(), Name: string(env.Self.Node), HostKey: key, Keys: keys, Password: d.Password,
		Patience: d.Timeout, Console: socket, PID: os.Getpid(),
	}
	p, err := startDoor(ctx, env, settings)
	if err != nil {
		listener.Close()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}

	level := env.Inspect.LogLevel.Level()
	s := &session{closed: make(chan struct{})}
	opened := make(chan door.Event, 1)
	serving, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() {
		c := console.New(env.Self, env.Inspect, p.pid)
		if err := c.Serve(serving, listener); err != nil {
			env.Log.Error("the console does not work any more", "err", err)
		}
	})
	go func() { // ends before Run does, which waits for closed
		defer close(s.closed)
		s.why = d.follow(p.events, opened, say)
		if err := p.wait(); s.why == "" {
			s.why = fmt.Sprintf("its process has ended: %v", err)
		}
		stop()
		parts.Wait()
		env.Inspect.LogLevel.Set(level) // in case that somebody has changed it
		if err := os.RemoveAll(dir); err != nil {
			env.Log.Warn("cannot clean up after a debugging session", "err", err)
		}
	}()
	timer := time.NewTimer(opening)
	defer timer.Stop()
	select {
	case e := <-opened:
		s.how = d.how(e)
		return s, nil
	case <-s.closed:
		return nil, errors.New(s.why)
	case <-timer.C:
		p.stop()
		<-s.closed
		return nil, errors.New("its process does not answer")
	}
}

// follow says what happens at the door, and returns why it was closed.
func (d *debugger) follow(events io.Reader, opened chan<- door.Event, say func(level, format string, args ...any)) (why string) {
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		var e door.Event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch e.What {
		case door.Opened:
			opened <- e
		case door.Attached:
			say(kozo.Info, "%s has attached to the debugging session with %s", e.Addr, e.Who)
		case door.Left:
			say(kozo.Info, "%s has left the debugging session", e.Addr)
		case door.Refused:
			say(kozo.Warn, "%s was not let into the debugging session: %s; %d refused since the last such message", e.Addr, e.Why, e.Count)
		case door.Closed:
			why = e.Why
		}
	}
	return why
}

// how tells people how to attach.
func (d *debugger) how(e door.Event) string {
	_, port, _ := net.SplitHostPort(e.Addr)
	host := "localhost"
	if d.AllowRemote {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	with := "the private key of a node"
	if d.Password != "" {
		with = "the password, or " + with
	}
	return fmt.Sprintf("ssh -p %s %s@%s, with %s; the key of the host is %s", port, door.User, host, with, e.Who)
}

// process is the door's.
type process struct {
	pid    int
	events io.Reader
	stop   func()       // asks it to end, and kills it if it does not
	wait   func() error // for its end, once events has been read
}

// startDoor starts the process of the door, which ends with ctx.
func startDoor(ctx context.Context, env *kozo.Env, settings door.Settings) (*process, error) {
	line, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	cmd := env.Inspect.Helper(life)
	in, err := cmd.StdinPipe()
	if err != nil {
		kill()
		return nil, err
	}
	events, err := cmd.StdoutPipe()
	if err != nil {
		kill()
		return nil, err
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		kill()
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, events: events}
	p.stop = func() {
		in.Close()
		time.AfterFunc(closing, kill)
	}
	ended := context.AfterFunc(ctx, p.stop)
	p.wait = func() error {
		err := cmd.Wait()
		ended()
		kill()
		if complaints.Len() > 0 {
			env.Log.Warn("the process of a debugging session complains", "text", kozo.Printable(complaints.String()))
		}
		return err
	}
	if _, err := in.Write(append(line, '\n')); err != nil {
		p.stop()
		_, _ = io.Copy(io.Discard, events)
		return nil, errors.Join(err, p.wait())
	}
	return p, nil
}
