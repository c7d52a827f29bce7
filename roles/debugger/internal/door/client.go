package door

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"kozo/roles/debugger/internal/console"
)

// client is somebody who is inside.
type client struct {
	door   *door
	conn   *ssh.ServerConn
	talked bool // a person has used the console, and not a script one command
	mu     sync.Mutex
	used   int // channels
}

const (
	maxChannels = 32
	aliveEvery  = 15 * time.Second
	aliveAnswer = 45 * time.Second
)

// serve answers what the client opens until it has hung up or ctx is done.
func (c *client) serve(ctx context.Context, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer c.conn.Close()
	defer cancel()
	parts.Go(func() { ssh.DiscardRequests(requests) })
	parts.Go(func() { c.probe(ctx) })
	for {
		select {
		case <-ctx.Done():
			return
		case n, ok := <-channels:
			if !ok {
				return
			}
			if why := c.take(); why != "" {
				_ = n.Reject(ssh.ResourceShortage, why)
				continue
			}
			parts.Go(func() {
				defer c.release()
				c.open(ctx, n)
			})
		}
	}
}

func (c *client) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used == maxChannels {
		return "too many channels"
	}
	c.used++
	return ""
}

func (c *client) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used--
}

// probe closes the connection of a client that has gone without a word.
func (c *client) probe(ctx context.Context) {
	for {
		pause(ctx, aliveEvery)
		if ctx.Err() != nil {
			return
		}
		late := time.AfterFunc(aliveAnswer, func() { c.conn.Close() })
		_, _, err := c.conn.SendRequest("keepalive@openssh.com", true, nil)
		late.Stop()
		if err != nil {
			return
		}
	}
}

func (c *client) open(ctx context.Context, n ssh.NewChannel) {
	switch n.ChannelType() {
	case "session":
		channel, requests, err := n.Accept()
		if err != nil {
			return
		}
		s := &session{client: c, channel: channel}
		s.serve(ctx, requests)
	case "direct-tcpip":
		c.forward(ctx, n)
	default:
		_ = n.Reject(ssh.UnknownChannelType, "this is a console, and forwards to "+console.Delve+" only")
	}
}

// forward connects a channel with the debugger, and with nothing else.
func (c *client) forward(ctx context.Context, n ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &to); err != nil || to.Host != console.Delve {
		_ = n.Reject(ssh.Prohibited, "only "+console.Delve+" can be reached: ssh -L 2345:"+console.Delve+":2345")
		return
	}
	addr, err := c.door.delve.address(ctx)
	if err != nil {
		_ = n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	far, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		_ = n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer far.Close()
	channel, requests, err := n.Accept()
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { far.Close() })
	defer stop()
	var parts sync.WaitGroup
	parts.Go(func() { ssh.DiscardRequests(requests) })
	parts.Go(func() {
		_, _ = io.Copy(far, channel)
		_ = far.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(channel, far)
	_ = channel.Close()
	_ = far.Close()
	parts.Wait()
}

// session is a shell or one command.
type session struct {
	client  *client
	channel ssh.Channel
	keys    keys
	screen  *screen // of a client that has a terminal
	closes  bool    // the client wants the end of the session
}

// serve runs what the client asks for.
func (s *session) serve(ctx context.Context, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer s.channel.Close()
	defer cancel()
	s.keys = newKeys(ctx)
	parts.Go(func() { s.keys.pump(s.channel) })
	started, done := false, make(chan struct{})
	for {
		select {
		case <-ctx.Done():
			return
		case <-done:
			if s.closes {
				s.goodbye(requests)
			}
			return
		case r, ok := <-requests:
			if !ok {
				return
			}
			start, line, ok := s.request(r, started)
			if r.WantReply {
				_ = r.Reply(ok, nil)
			}
			if start && ok {
				started = true
				parts.Go(func() {
					defer close(done)
					s.exit(s.work(ctx, line))
				})
			}
		}
	}
}

// request looks at one request; start says that there is work now.
func (s *session) request(r *ssh.Request, started bool) (start bool, line string, ok bool) {
	switch r.Type {
	case "pty-req":
		var p struct {
			Term                         string
			Columns, Rows, Width, Height uint32
			Modes                        string
		}
		if started || ssh.Unmarshal(r.Payload, &p) != nil {
			return false, "", false
		}
		s.screen = newScreen(&s.keys, s.channel, s.client.door.Name)
		s.screen.resize(p.Columns, p.Rows)
		return false, "", true
	case "window-change":
		var w struct{ Columns, Rows, Width, Height uint32 }
		if s.screen == nil || ssh.Unmarshal(r.Payload, &w) != nil {
			return false, "", false
		}
		s.screen.resize(w.Columns, w.Rows)
		return false, "", true
	case "signal":
		s.keys.interrupt()
		return false, "", true
	case "env":
		return false, "", true // ignored: nothing here goes by it
	case "shell":
		return !started, "", !started
	case "exec":
		var e struct{ Command string }
		if started || ssh.Unmarshal(r.Payload, &e) != nil {
			return false, "", false
		}
		if strings.TrimSpace(e.Command) == "" {
			e.Command = "help"
		}
		return true, e.Command, true
	}
	return false, "", false
}

// goodbye ends the debugging session, after the client has read that it does.
func (s *session) goodbye(requests <-chan *ssh.Request) {
	defer s.client.door.end(errors.New("a client has closed it"))
	_ = s.channel.Close()
	late := time.NewTimer(2 * time.Second)
	defer late.Stop()
	for {
		select {
		case <-late.C:
			return
		case r, ok := <-requests:
			if !ok {
				return
			}
			if r.WantReply {
				_ = r.Reply(false, nil)
			}
		}
	}
}

func (s *session) exit(code uint32) {
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
}

// work runs one command, or all that are typed, and returns the exit code.
func (s *session) work(ctx context.Context, line string) uint32 {
	var out, errs io.Writer = s.channel, s.channel.Stderr()
	if s.screen != nil {
		out, errs = s.screen, s.screen
	}
	if line != "" {
		if _, ok := s.command(ctx, line, out, errs); !ok {
			return 1
		}
		return 0
	}
	s.client.mu.Lock()
	s.client.talked = true
	s.client.mu.Unlock()
	if s.screen != nil {
		fmt.Fprintf(out, "This is node %s. help lists the commands, exit leaves.\n", s.client.door.Name)
	}
	code := uint32(0)
	for {
		line, err := s.line()
		if err != nil {
			return code
		}
		leave, ok := s.command(ctx, line, out, errs)
		if leave || ctx.Err() != nil {
			return code
		}
		if code = 0; !ok {
			code = 1
		}
	}
}

// line reads a line that somebody types, or that comes through a pipe.
func (s *session) line() (string, error) {
	if s.screen != nil {
		return s.screen.ReadLine()
	}
	return s.keys.line()
}

// command runs a command. ctrl-C and the end of ctx interrupt it; so does the end
// of the client's input where a person types.
func (s *session) command(ctx context.Context, line string, out, errs io.Writer) (leave, ok bool) {
	word := ""
	if words := strings.Fields(line); len(words) > 0 {
		word = words[0]
	}
	switch word {
	case "":
		return false, true
	case console.Exit, "quit", "logout":
		return true, true
	case console.Close:
		fmt.Fprintln(out, "the session ends")
		s.closes = true
		return true, true
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { // owned by this function, which waits for it
		if word == console.Delve {
			done <- s.client.door.delve.attach(running, &s.client.door.Settings, out)
			return
		}
		done <- console.Ask(running, s.client.door.Console, console.Request{Line: line, Terminal: s.screen != nil}, out, errs)
	}()
	err := s.keys.watch(done, cancel)
	if err == nil {
		return false, true
	}
	if running.Err() == nil && !errors.Is(err, console.ErrFailed) {
		fmt.Fprintln(errs, err)
	}
	return false, running.Err() != nil && ctx.Err() == nil
}
