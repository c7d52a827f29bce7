// Package injector is the role message_injector, which listens on a TCP port
// and sends into the network whatever messages it is told, one a line. It is
// made for debugging, with telnet or nc for a client.
//
// A line is a tuple in the notation of Python, or an array in JSON:
//
//	('event', 'tick', {'a': 1})
//	('order', 'debug', 'channel', None)
//	('log', 'warn', 'text')
//	["event", "tick", {"a": 1}]
//
// It is read as plain data, and nothing in it is ever executed. Each line is
// answered by one that begins with "ok" or with "error".
package injector

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"kozo"
)

// TypeName is what the type of a role block says to get this role.
const TypeName = "message_injector"

// MaxLine is the longest line that is accepted, in bytes.
const MaxLine = 1 << 20

const (
	maxConns     = 64 // at once
	writeTimeout = 10 * time.Second
)

type options struct {
	BindAddress string    `option:"bindAddress" default:"localhost" doc:"address to listen on; empty for all addresses of the machine"`
	BindPort    kozo.Port `option:"bindPort" default:"7050" doc:"TCP port to listen on"`
	Log         bool      `option:"log" default:"false" doc:"send a log message for each injected message and for each error"`
}

type injector struct {
	options
	// parsing is held while a line is parsed, so that many clients with long
	// lines need no more memory than one.
	parsing sync.Mutex
}

var (
	_ kozo.Role   = (*injector)(nil)
	_ kozo.Binder = (*injector)(nil)
	_ kozo.Warner = (*injector)(nil)
)

// Type returns the role type.
func Type() kozo.RoleType {
	return kozo.DefineRole(TypeName,
		"Listens on a TCP port and sends the messages that it is told, one a line. Useful for debugging.",
		func(o options) (kozo.Role, error) { return &injector{options: o}, nil })
}

func (i *injector) address() string {
	return net.JoinHostPort(i.BindAddress, strconv.Itoa(int(i.BindPort)))
}

// Binds names the port.
func (i *injector) Binds() []string { return []string{"tcp " + i.address()} }

// Warnings warns of an address at which other machines can reach the role.
func (i *injector) Warnings() []*kozo.OptionError {
	if i.BindAddress == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(i.BindAddress); err == nil && ip.IsLoopback() {
		return nil
	}
	return []*kozo.OptionError{kozo.Errorf("bindAddress",
		"anybody who reaches port %d of this machine can send messages into the network; use localhost unless that is meant", i.BindPort)}
}

// Run listens. It fails if the address cannot be had.
func (i *injector) Run(ctx context.Context, env *kozo.Env) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", i.address())
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("cannot listen for messages to inject, choose another bindAddress or bindPort or end the program that uses it: %w", err)
	}
	env.Log.Info("messages can be injected", "endpoint", listener.Addr().String())
	return i.serve(ctx, env, listener)
}

// serve accepts connections until ctx is done, and closes the listener.
func (i *injector) serve(ctx context.Context, env *kozo.Env, listener net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	defer listener.Close()

	slots := make(chan struct{}, maxConns)
	pause := acceptPause
	for {
		conn, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("the port for messages to inject was closed: %w", err)
		case err != nil:
			// Out of files, perhaps, or the client has gone already.
			select {
			case <-ctx.Done():
			case <-time.After(pause):
				pause = min(2*pause, time.Second)
			}
			continue
		}
		pause = acceptPause
		select {
		case slots <- struct{}{}:
			conns.Go(func() {
				defer func() { <-slots }()
				i.handle(ctx, env, conn)
			})
		default:
			_ = answer(conn, fmt.Errorf("there are %d connections already", maxConns), "")
			conn.Close()
		}
	}
}

const acceptPause = 10 * time.Millisecond

// handle answers the lines of one connection.
func (i *injector) handle(ctx context.Context, env *kozo.Env, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	defer func() {
		// A panic here would take the node down, and not this role alone.
		if p := recover(); p != nil {
			env.Log.Error("a line has made the role panic", "err", p, "stack", string(debug.Stack()))
		}
	}()
	r := bufio.NewReader(conn)
	for {
		line, err := readLine(r)
		var tooLong *lineError
		if err != nil && !errors.As(err, &tooLong) {
			return
		}
		if isHTTP(line) {
			_ = answer(conn, errors.New("this is no web server"), "")
			return
		}
		var done string
		if err == nil {
			done, err = i.inject(env, line)
		}
		if i.Log {
			i.report(env, conn, done, err)
		}
		if answer(conn, err, done) != nil {
			return
		}
	}
}

// inject sends the message of a line and returns what it was.
func (i *injector) inject(env *kozo.Env, line []byte) (string, error) {
	m, err := i.parse(line)
	if err == nil {
		err = env.Send(m)
	}
	if err != nil {
		return "", err
	}
	done := m.Kind.String() + " " + kozo.Printable(m.Type)
	if m.Channel != "" {
		done += " to " + kozo.Printable(m.Channel)
	}
	return done, nil
}

func (i *injector) parse(line []byte) (kozo.Message, error) {
	i.parsing.Lock()
	defer i.parsing.Unlock()
	return parseLine(line)
}

// report sends a log message; one that cannot be sent has nobody to tell.
func (i *injector) report(env *kozo.Env, conn net.Conn, done string, err error) {
	if err != nil {
		env.Logf(kozo.Warn, "refused a line from %s: %v", conn.RemoteAddr(), err)
		return
	}
	env.Logf(kozo.Info, "injected %s for %s", done, conn.RemoteAddr())
}

func answer(conn net.Conn, err error, done string) error {
	text := "ok " + done
	if err != nil {
		text = "error: " + kozo.Printable(err.Error())
	}
	conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails only if writing does
	_, err = conn.Write([]byte(text + "\n"))
	return err
}
