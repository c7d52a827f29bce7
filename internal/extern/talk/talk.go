// Package talk has one conversation with a program that is a role or a
// transport: from its start and the hellos, over lines in both directions and
// heartbeats, to its end. docs/protocol-programs.md says what is spoken.
package talk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"kozo/internal/extern/process"
	"kozo/internal/extern/protocol"
)

// Limits of time.
const (
	HelloTimeout = 20 * time.Second       // from the start to the program's hello
	Polite       = 500 * time.Millisecond // from the end of its input to SIGTERM
	Firm         = 250 * time.Millisecond // from there to SIGKILL
	stopWrite    = 100 * time.Millisecond // to write the last line, if the program still reads
	exitDelay    = time.Second            // between the end of the output and that of the program
)

// Limits of lines.
const (
	maxWrite   = 32 << 10 // that are handed over at a time
	maxReplies = 64       // that wait; then the program is not read any more
)

// Greeted is what the log says, for those who want to know all, when the program
// has said hello.
const Greeted = "the program says hello"

// Config is what a conversation is about.
type Config struct {
	Program process.Config // MaxLine and Stderr are set here
	Hello   protocol.Hello
	Log     *slog.Logger // already names the role or the transport
	Grease  bool         // say what the program is to ignore, and send heartbeats soon

	// Greet is called with the program's hello, before anything else.
	Greet func(*protocol.Line) error

	// Hear is called with every other line but pong, one at a time. An error goes
	// back to the program. Lines come until Run returns.
	Hear func(*protocol.Line) error

	// Feed appends lines to b and returns it, as many as fit and may be written
	// now. It is called after the program's hello, when Ready or [Talk.Wake] says
	// so. offset is where b, with what is in it already, begins in all that is
	// ever written. Nil means that
	// there is nothing but what is said.
	Feed  func(b []byte, offset int64) []byte
	Ready <-chan struct{}
}

// Talk is a conversation. Its methods may be called by several goroutines at
// once.
type Talk struct {
	cfg     Config
	noise   *noise
	replies chan []byte
	wake    chan struct{}
	greeted chan struct{} // closed after the program's hello
	over    chan struct{} // closed when nothing is written any more
	end     sync.Once

	beat  time.Duration // 0: no heartbeats; after greeted
	pongs chan uint64
}

// New makes a conversation. Nothing is run yet.
func New(cfg Config) *Talk {
	return &Talk{
		cfg: cfg, noise: newNoise(cfg.Log),
		replies: make(chan []byte, maxReplies), wake: make(chan struct{}, 1),
		greeted: make(chan struct{}), over: make(chan struct{}),
		pongs: make(chan uint64, 1),
	}
}

// Say writes a line, after those that wait already. While too many wait, so does
// the caller. It reports whether the line was taken: not after the end.
func (t *Talk) Say(v any) bool {
	line := protocol.Append(nil, v)
	select {
	case t.replies <- line:
		return true
	case <-t.over:
		return false
	}
}

// Answer says that a request was done, if the program wants to know, or what was
// wrong with it, in any case.
func (t *Talk) Answer(id json.RawMessage, err error) {
	switch {
	case err != nil:
		t.Say(protocol.Error{Op: "error", ID: id, Text: err.Error()})
	case id != nil:
		t.Say(protocol.Done{Op: "done", ID: id})
	}
}

// Wake makes the conversation call Feed again.
func (t *Talk) Wake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Note writes a line of the program into the log, within its bounds.
func (t *Talk) Note(level slog.Level, text string) { t.noise.say(level, "the program notes", text) }

// Result is how a conversation was when it ended.
type Result struct {
	Consumed int64 // bytes that the program has read from its input
}

// Run starts the program and talks with it until ctx is done, when it asks it to
// stop, or until the program fails, which the error tells. When it returns the
// program and its group are gone. It can be called once.
func (t *Talk) Run(ctx context.Context) (Result, error) {
	start := t.cfg.Program
	start.MaxLine = protocol.MaxLine
	start.Stderr = func(line string) { t.noise.say(slog.LevelWarn, "the program says", line) }
	p, err := process.Start(start)
	if err != nil {
		return Result{}, err
	}
	defer p.Release()

	stop := make(chan struct{})
	heard, wrote, hung := make(chan error, 1), make(chan struct{}), make(chan error, 1)
	var parts sync.WaitGroup
	parts.Go(func() { heard <- t.listen(p) })
	parts.Go(func() {
		defer close(wrote)
		t.write(p, stop)
	})
	parts.Go(func() { hung <- t.watch(stop) })

	failure := t.wait(ctx, p, heard, hung)
	close(stop)
	t.finish(p, wrote, failure == nil)
	parts.Wait()
	t.noise.flush()
	result := Result{Consumed: p.Consumed()}
	if failure == nil {
		return result, ctx.Err()
	}
	return result, withLastWords(failure, p)
}

// wait returns when the conversation has to end: nil because of ctx.
func (t *Talk) wait(ctx context.Context, p *process.Process, heard, hung <-chan error) error {
	hello := time.NewTimer(HelloTimeout)
	defer hello.Stop()
	greeted := t.greeted
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-hung:
			return err
		case <-greeted:
			greeted = nil
			hello.Stop()
		case <-hello.C:
			return fmt.Errorf("it has not said hello within %v", HelloTimeout)
		case err := <-heard:
			if err != io.EOF {
				return err
			}
			return outputEnded(ctx, p)
		}
	}
}

// outputEnded says what it means that there will be no more lines.
func outputEnded(ctx context.Context, p *process.Process) error {
	timer := time.NewTimer(exitDelay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
		return errors.New("it has closed its standard output and goes on")
	case <-p.Done():
	}
	if err := p.End(); err != nil {
		return err
	}
	return errors.New("exited with status 0, without being asked to")
}

// finish ends the program, politely if it has not failed.
func (t *Talk) finish(p *process.Process, wrote <-chan struct{}, politely bool) {
	begin := time.Now()
	if politely {
		timer := time.NewTimer(stopWrite)
		select {
		case <-wrote:
		case <-timer.C: // it does not read
		case <-p.Done():
		}
		timer.Stop()
	}
	t.end.Do(func() { close(t.over) })
	p.Stop(max(0, Polite-time.Since(begin)), Firm)
}

// withLastWords adds what the program said last, which is often the reason.
func withLastWords(err error, p *process.Process) error {
	words := p.LastWords()
	if words == "" {
		return err
	}
	last := words[strings.LastIndexByte(words, '\n')+1:]
	return fmt.Errorf("%w; it said last: %s", err, strings.TrimSpace(last))
}

// listen hears lines until the output ends, or until a hello is wrong.
func (t *Talk) listen(p *process.Process) error {
	greeted := false
	for {
		line, err := p.ReadLine()
		if err == process.ErrTooLong {
			t.mistake(fmt.Errorf("a line has more than %d bytes and was skipped; it begins with %.60s", protocol.MaxLine, line))
			continue
		}
		if err != nil {
			return err
		}
		l, err := protocol.Parse(line)
		switch {
		case errors.Is(err, protocol.ErrNoObject):
			if len(line) > 0 {
				t.noise.say(slog.LevelInfo, "the program prints", string(line[:min(len(line), process.MaxNoise)]))
			}
		case err != nil && l != nil && greeted:
			t.refuse(l, err)
		case err != nil:
			t.mistake(err)
		case l.Op == "hello" && !greeted:
			if err := t.greet(l); err != nil {
				return err
			}
			greeted = true
		case !greeted:
			return fmt.Errorf(`its first line is %q and not its hello: {"op":"hello","protocol":%d}`, l.Op, protocol.Version)
		case l.Op == "hello":
			t.refuse(l, errors.New("it has said hello already"))
		case l.Op == "pong":
			select {
			case t.pongs <- l.N:
			default:
			}
		default:
			if err := t.cfg.Hear(l); err != nil {
				t.refuse(l, err)
			}
		}
	}
}

// mistake tells the program, and the operator, about a line that is none.
func (t *Talk) mistake(err error) {
	t.noise.say(slog.LevelWarn, "a line of the program is wrong", err.Error())
	t.Say(protocol.Error{Op: "error", Text: err.Error()})
}

// refuse tells about a line that cannot be followed. One with an id is answered,
// and the program can deal with it.
func (t *Talk) refuse(l *protocol.Line, err error) {
	text := l.Op + ": " + err.Error()
	if l.ID == nil {
		t.noise.say(slog.LevelWarn, "a line of the program is wrong", text)
	}
	t.Say(protocol.Error{Op: "error", ID: l.ID, Text: text})
}

func (t *Talk) greet(l *protocol.Line) error {
	if err := l.CheckVersion(); err != nil {
		return err
	}
	if err := t.setBeat(l.Heartbeat); err != nil {
		return err
	}
	if err := t.cfg.Greet(l); err != nil {
		return err
	}
	t.cfg.Log.Debug(Greeted, "heartbeat", t.beat, "window", l.Window)
	close(t.greeted)
	if t.cfg.Grease {
		t.Say(protocol.Grease{Op: "x-grease", ID: 0, Nested: map[string]any{"op": "stop", "list": []any{nil, 1, "ü"}}})
	}
	t.Answer(l.ID, nil)
	return nil
}

// write writes the hello, what is said, and what is fed, until stop; then the
// last line. It also ends when the program does not take any more.
func (t *Talk) write(p *process.Process, stop <-chan struct{}) {
	defer p.CloseInput()
	defer t.end.Do(func() { close(t.over) })
	offset := int64(0)
	put := func(b []byte) bool {
		n, err := p.Write(b)
		offset += int64(n)
		return err == nil
	}
	hello := t.cfg.Hello
	if t.cfg.Grease {
		hello.Grease = json.RawMessage(`{"op":"stop"}`)
	}
	if !put(protocol.Append(nil, hello)) {
		return
	}
	var feed func([]byte, int64) []byte
	var ready <-chan struct{}
	greeted := t.greeted
	var buf []byte
	for {
		select {
		case <-stop:
			put(protocol.Append(t.said(nil), protocol.Stop{Op: "stop"}))
			return
		default:
		}
		buf = t.said(buf[:0])
		if feed != nil && len(buf) < maxWrite {
			buf = feed(buf, offset)
		}
		if len(buf) > 0 {
			if !put(buf) {
				return
			}
			if cap(buf) > 4*maxWrite {
				buf = nil
			}
			continue
		}
		select {
		case line := <-t.replies:
			if !put(line) {
				return
			}
		case <-t.wake:
		case <-ready:
		case <-greeted:
			greeted, ready = nil, t.cfg.Ready
			feed = t.cfg.Feed
		case <-stop:
		}
	}
}

// said appends the lines that wait.
func (t *Talk) said(b []byte) []byte {
	for len(b) < maxWrite {
		select {
		case line := <-t.replies:
			b = append(b, line...)
		default:
			return b
		}
	}
	return b
}
