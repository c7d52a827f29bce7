// Package console is what a person can ask a node in a debugging session: a few
// commands, each a line. The node serves them on a unix socket, and the door of
// the session, which is another process, passes them on.
//
// A request is a line of JSON. The answer is a sequence of pieces, each with a
// byte that says what it is, four bytes with its length, and the piece itself.
package console

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"sync"

	"kozo"
)

// Request is one command.
type Request struct {
	Line     string `json:"line"`
	Terminal bool   `json:"terminal"` // a person reads the answer as it comes
}

// The pieces of an answer.
const (
	toOutput = 'o'
	toErrors = 'e'
	ended    = 'x' // without content if the command did what it was told
)

const (
	maxLine  = 64 << 10
	maxPiece = 32 << 10
	maxConns = 32
)

// Console runs the commands.
type Console struct {
	self    kozo.RoleRef
	inspect *kozo.Inspect
	tracer  int
}

// New makes a console of a node. tracer is the process that may attach a
// debugger to this one, with its children, once it asks.
func New(self kozo.RoleRef, inspect *kozo.Inspect, tracer int) *Console {
	return &Console{self: self, inspect: inspect, tracer: tracer}
}

// Serve answers requests until ctx is done, and closes the listener.
func (c *Console) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	defer listener.Close()
	slots := make(chan struct{}, maxConns)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("the console of the debugging session: %w", err)
		}
		conns.Go(func() {
			defer func() { <-slots }()
			c.answer(ctx, conn)
		})
	}
}

// answer answers one request. The command ends when who asked hangs up.
func (c *Console) answer(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	in := bufio.NewReader(io.LimitReader(conn, maxLine))
	line, err := in.ReadBytes('\n')
	if err != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = in.WriteTo(io.Discard)
		cancel()
	}()
	defer func() { <-gone }()
	defer conn.Close()

	var mu sync.Mutex
	out, errs := pieces{&mu, conn, toOutput}, pieces{&mu, conn, toErrors}
	var r Request
	if err = json.Unmarshal(line, &r); err == nil {
		err = c.run(ctx, r, out)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(errs, "%v\n", err)
	}
	end := pieces{&mu, conn, ended}
	if err != nil {
		_, _ = end.Write([]byte{1})
		return
	}
	_ = end.piece(nil)
}

// run runs a command; one that panics takes nothing else with it.
func (c *Console) run(ctx context.Context, r Request, out io.Writer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the command has failed: %v\n%s", p, debug.Stack())
		}
	}()
	words := strings.Fields(r.Line)
	if len(words) == 0 {
		return nil
	}
	for _, cmd := range commands() {
		if cmd.name == words[0] {
			if cmd.binary && r.Terminal {
				return fmt.Errorf("this is for a file and not for a terminal; in a shell of your own: ssh … %s > %s", r.Line, words[0])
			}
			return cmd.run(c, ctx, words[1:], out)
		}
	}
	return fmt.Errorf("there is no command %s; help lists them", kozo.Printable(words[0]))
}

// pieces writes pieces of one sort.
type pieces struct {
	mu   *sync.Mutex
	conn io.Writer
	sort byte
}

func (p pieces) Write(b []byte) (int, error) {
	n := 0
	for len(b) > 0 {
		part := b[:min(len(b), maxPiece)]
		if err := p.piece(part); err != nil {
			return n, err
		}
		n, b = n+len(part), b[len(part):]
	}
	return n, nil
}

func (p pieces) piece(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	head := binary.BigEndian.AppendUint32([]byte{p.sort}, uint32(len(b)))
	_, err := p.conn.Write(append(head, b...))
	return err
}

// ErrFailed means that the command has failed, and has said why.
var ErrFailed = errors.New("the command has failed")

// Ask sends a request to the console that serves at socket, and copies the
// answer, until it is over or ctx is. The error is ErrFailed if it is the
// command's own.
func Ask(ctx context.Context, socket string, r Request, out, errs io.Writer) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("the node does not answer: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("the node does not answer: %w", err)
	}
	in := bufio.NewReader(conn)
	var head [5]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("the node has hung up: %w", err)
		}
		piece := io.LimitReader(in, int64(binary.BigEndian.Uint32(head[1:])))
		to := out
		switch head[0] {
		case toErrors:
			to = errs
		case ended:
			if n, _ := io.Copy(io.Discard, piece); n > 0 {
				return ErrFailed
			}
			return nil
		}
		if _, err := io.Copy(to, piece); err != nil {
			return err
		}
	}
}
