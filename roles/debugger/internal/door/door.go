// Package door is the SSH server of a debugging session: it lets people in who
// know the password or have the key of a node, and passes their commands on to
// the node's console. It runs in a process of its own, so that a debugger that
// halts the node does not halt the connection through which it is told to go on.
package door

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Settings is what the process is told in the first line of its input. When the
// input ends, so does the process.
type Settings struct {
	Listen   string            `json:"listen"` // address and port
	Name     string            `json:"name"`   // of the node, for people
	HostKey  []byte            `json:"host_key"`
	Keys     map[string]string `json:"keys"`     // those of all nodes, by name
	Password string            `json:"password"` // empty: only keys are accepted
	Patience time.Duration     `json:"patience"` // how long the door is open with nobody inside
	Console  string            `json:"console"`  // the socket of the node's console
	PID      int               `json:"pid"`      // of the node
}

// Event is what the process says, one on each line of its output.
type Event struct {
	What  string `json:"what"`
	Addr  string `json:"addr,omitempty"`
	Who   string `json:"who,omitempty"`
	Why   string `json:"why,omitempty"`
	Count int    `json:"count,omitempty"`
}

// What can happen.
const (
	Opened   = "opened"   // Addr: where it listens, Who: the fingerprint of the key of the host
	Attached = "attached" // Addr, Who
	Left     = "left"     // Addr, Who
	Refused  = "refused"  // Addr of the last one, Why, Count: how many since the last such event
	Closed   = "closed"   // Why; the last event
)

// User is the name under which people log in.
const User = "debug"

// Run keeps the door until nobody has come in time, the session has ended, or
// the input has. It has the form of a kozo.Helper.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the first line must be the settings: %w", err)
	}
	d := &door{end: cancel, out: json.NewEncoder(out)}
	if err := json.Unmarshal(line, &d.Settings); err != nil {
		return fmt.Errorf("the first line must be the settings: %w", err)
	}
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, r)
		cancel(errors.New("the node has ended it"))
	}()
	err = d.run(ctx)
	d.tell(Event{What: Closed, Why: cmp.Or(err, context.Cause(ctx)).Error()})
	return nil
}

type door struct {
	Settings
	auth  auth
	delve delve
	end   context.CancelCauseFunc

	mu       sync.Mutex
	out      *json.Encoder
	inside   int         // clients that are let in
	leave    *time.Timer // ends the session when nobody is inside
	refused  int         // connections since the last event about them
	lastTold time.Time
}

var errNobody = errors.New("nobody has attached in time")

func (d *door) tell(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.out.Encode(e) // if nobody listens, the input ends as well
}

const (
	maxInside    = 8
	maxKnocking  = 8
	knockTimeout = time.Minute // to prove who one is, the delays for wrong passwords included
)

func (d *door) run(ctx context.Context) error {
	if err := d.auth.init(&d.Settings); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", d.Listen)
	if err != nil {
		return err
	}
	var conns sync.WaitGroup
	defer conns.Wait()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	defer listener.Close()
	d.leave = time.AfterFunc(d.Patience, func() { d.end(errNobody) })
	defer d.leave.Stop()
	d.tell(Event{What: Opened, Addr: listener.Addr().String(), Who: ssh.FingerprintSHA256(d.auth.host.PublicKey())})

	knocking := make(chan struct{}, maxKnocking)
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			pause(ctx, 100*time.Millisecond) // out of files, perhaps
			continue
		}
		select {
		case knocking <- struct{}{}:
			conns.Go(func() {
				hold := stopClosing(ctx, conn)
				defer hold()
				d.serve(ctx, conn, func() { <-knocking })
			})
		default:
			conn.Close()
			d.refuse(conn.RemoteAddr().String(), "too many at once")
		}
	}
}

// stopClosing closes conn when ctx ends, or when what it returns is called.
func stopClosing(ctx context.Context, conn net.Conn) func() {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return func() {
		stop()
		conn.Close()
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// enter counts somebody in, if there is room.
func (d *door) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside == maxInside {
		return fmt.Errorf("%d clients are attached already", maxInside)
	}
	d.inside++
	d.leave.Stop()
	return nil
}

// exit counts somebody out. last says that nobody else is inside.
func (d *door) exit() (last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	if d.inside == 0 {
		d.leave.Reset(d.Patience)
	}
	return d.inside == 0
}

// tellEvery bounds how often is said that somebody was refused.
const tellEvery = 5 * time.Second

// refuse reports that somebody was not let in, unless that was just said.
func (d *door) refuse(addr, why string) {
	d.mu.Lock()
	d.refused++
	n := d.refused
	quiet := !d.lastTold.IsZero() && time.Since(d.lastTold) < tellEvery
	if !quiet {
		d.refused, d.lastTold = 0, time.Now()
	}
	d.mu.Unlock()
	if !quiet {
		d.tell(Event{What: Refused, Addr: addr, Why: why, Count: n})
	}
}
