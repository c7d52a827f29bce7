// Package process runs a program that is spoken to in lines over its standard
// input and output, as a group of processes that ends as a whole: when the
// program ends, when it is told to, and, on Linux, when this program is killed.
//
// What the program writes can neither block this program for ever nor grow it:
// lines have a bound, and what is too long is thrown away as it is read.
package process

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config is what a program is run with.
type Config struct {
	Argv    []string // the program and its arguments
	Dir     string   // its working directory
	Env     []string // its whole environment; nil means that of this program
	MaxLine int      // longest line of its standard output, the line feed counted

	// Stderr is called with each line of the standard error, without its line
	// feed, cut after MaxNoise bytes. It must not block for long. Nil means that
	// the lines are only kept for [Process.LastWords].
	Stderr func(line string)
}

// MaxNoise is how much is kept of a line that is not part of a conversation.
const MaxNoise = 4 << 10

// ErrTooLong is the error of a line that is longer than MaxLine. The next line
// can be read.
var ErrTooLong = errors.New("the line is too long")

// Process is a program that was started. Its methods may be called by several
// goroutines at once, [Process.ReadLine] by one at a time.
type Process struct {
	cmd     *exec.Cmd
	out     *reader
	outFile *os.File
	done    chan struct{}
	err     error // how it ended; after done

	dying sync.Mutex
	dead  bool // reaped: its number may be another's; guarded by dying

	in      *os.File // our end of its standard input
	inOther *os.File // its end, to know what is left in the pipe
	written int64    // bytes; guarded by writing
	writing sync.Mutex

	words words
}

// Start starts a program. The error says why it cannot be run, and what to do
// about it.
func Start(cfg Config) (*Process, error) {
	p := &Process{done: make(chan struct{})}
	var files []*os.File
	closeAll := func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	pipe := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err == nil {
			files = append(files, r, w)
		}
		return r, w, err
	}
	inR, inW, err := pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := pipe()
	if err != nil {
		closeAll()
		return nil, err
	}
	errR, errW, err := pipe()
	if err != nil {
		closeAll()
		return nil, err
	}
	p.in, p.inOther, p.outFile = inW, inR, outR
	p.out = newReader(outR, cfg.MaxLine)
	p.cmd = exec.Command(cfg.Argv[0], cfg.Argv[1:]...)
	p.cmd.Dir, p.cmd.Env = cfg.Dir, cfg.Env
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = inR, outW, errW
	isolate(p.cmd)

	started := make(chan error)
	go p.live(started, errR, cfg.Stderr)
	err = <-started
	_, _ = outW.Close(), errW.Close()
	if err != nil {
		closeAll()
		return nil, startError(cfg.Argv[0], err)
	}
	return p, nil
}

// live is one goroutine from the start of the program to its end. It keeps its
// thread: the kernel kills the program when the thread that started it ends.
func (p *Process) live(started chan<- error, stderr *os.File, say func(string)) {
	lockThread()
	defer unlockThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	var noise sync.WaitGroup
	noise.Go(func() { p.listen(stderr, say) })
	started <- nil
	p.err = p.reap()
	p.CloseInput() // since we hold the other end too, a Write would wait for ever
	// Only what left the group can still hold the other ends.
	soon := time.Now().Add(drainTimeout)
	_ = p.outFile.SetReadDeadline(soon)
	_ = stderr.SetReadDeadline(soon)
	noise.Wait()
	_ = stderr.Close()
	close(p.done)
}

// drainTimeout is for what a program has left in its pipes.
const drainTimeout = 300 * time.Millisecond

// listen reads the standard error.
func (p *Process) listen(stderr *os.File, say func(string)) {
	r := newReader(stderr, MaxNoise)
	for {
		line, err := r.line()
		if err != nil && err != ErrTooLong {
			return
		}
		text := string(line)
		p.words.add(text)
		if say != nil {
			say(text)
		}
	}
}

// Done is closed when the program and its group are gone, and the standard error
// is read to its end.
func (p *Process) Done() <-chan struct{} { return p.done }

// ReadLine returns the next line of the standard output without its line feed;
// it is valid until the next call. The error is [ErrTooLong], with the beginning
// of the line, or io.EOF: the program has closed its standard output, or has
// ended and was read to the end. A last line without a line feed is a line.
func (p *Process) ReadLine() ([]byte, error) { return p.out.line() }

// Write writes to the standard input, and waits while the program does not read.
// It returns early when the input is closed or the program ends; the number says
// how much went into the pipe.
func (p *Process) Write(b []byte) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	n, err := p.in.Write(b)
	p.written += int64(n)
	return n, err
}

// CloseInput ends the standard input. A Write that waits returns.
func (p *Process) CloseInput() { _ = p.in.Close() }

// Stop ends the program: it closes its input, asks its group to end after
// polite, kills it after firm more, and returns when it is gone.
func (p *Process) Stop(polite, firm time.Duration) {
	p.CloseInput()
	if p.gone(polite) {
		return
	}
	p.signal(terminate)
	if p.gone(firm) {
		return
	}
	p.Kill()
	<-p.done
}

func (p *Process) gone(within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		return false
	}
}

// Kill kills the program and its group.
func (p *Process) Kill() { p.signal(kill) }

func (p *Process) signal(s syscall.Signal) {
	p.dying.Lock()
	defer p.dying.Unlock()
	if !p.dead {
		signalGroup(p.cmd.Process.Pid, s)
	}
}

// The signals that end a program.
const (
	terminate = syscall.SIGTERM
	kill      = syscall.SIGKILL
)

// Consumed returns how many bytes of what was written the program has read from
// its standard input. It is meant for after its end, and must not be called
// after [Process.Release].
func (p *Process) Consumed() int64 {
	p.CloseInput()
	p.writing.Lock()
	defer p.writing.Unlock()
	return p.written - int64(unread(p.inOther))
}

// Release gives back what the process holds, after it is gone.
func (p *Process) Release() {
	<-p.done
	p.CloseInput()
	_, _ = p.inOther.Close(), p.outFile.Close()
}

// End says how the program ended: "exited with status 1". It is nil for status
// 0, and until the program is gone.
func (p *Process) End() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	exit, ok := errors.AsType[*exec.ExitError](p.err)
	switch {
	case p.err == nil:
		return nil
	case ok && exit.Exited():
		return errors.New("exited with status " + strings.TrimPrefix(exit.Error(), "exit status "))
	case ok:
		return errors.New("was ended by a signal: " + strings.TrimPrefix(exit.Error(), "signal: "))
	}
	return p.err
}

// LastWords returns the end of what the program wrote to its standard error, a
// few lines at most.
func (p *Process) LastWords() string { return p.words.String() }

// reader reads lines of bounded length.
type reader struct {
	from *os.File
	buf  []byte
	r, w int
	max  int
	long bool // the rest of a line that was too long is thrown away
	late int  // reads after the end of the program
	err  error
}

const firstBuffer = 8 << 10

// What left the group of the program can write on after its end, and is not
// listened to for ever.
const (
	maxLate     = 64
	lateTimeout = 10 * time.Millisecond
)

func newReader(from *os.File, most int) *reader {
	return &reader{from: from, max: most, buf: make([]byte, min(firstBuffer, most+1))}
}

func (r *reader) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(r.buf[r.r:r.w], '\n'); i >= 0 {
			line := r.buf[r.r : r.r+i]
			r.r += i + 1
			if r.long {
				r.long = false
				continue
			}
			if len(line)+1 > r.max {
				return line[:r.max-1], ErrTooLong
			}
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if r.err != nil {
			return r.last()
		}
		if tooLong := r.room(); tooLong != nil {
			return tooLong, ErrTooLong
		}
		n, err := r.from.Read(r.buf[r.w:])
		if errors.Is(err, os.ErrDeadlineExceeded) && r.late < maxLate {
			// The program is gone. What it has left may be here all the same.
			r.late++
			_ = r.from.SetReadDeadline(time.Now().Add(lateTimeout))
			n, err = r.from.Read(r.buf[r.w:])
		}
		r.w += n
		if err != nil {
			r.err = io.EOF
		}
	}
}

// last returns what stands after the last line feed.
func (r *reader) last() ([]byte, error) {
	line := r.buf[r.r:r.w]
	r.r = r.w
	if len(line) == 0 || r.long {
		return nil, r.err
	}
	return line, nil
}

// room makes room to read more. What it returns is the beginning of a line that
// is too long, of which the rest will be thrown away.
func (r *reader) room() []byte {
	switch {
	case r.long:
		r.r, r.w = 0, 0
	case r.r > 0 && r.r == r.w:
		r.r, r.w = 0, 0
		if len(r.buf) > 8*firstBuffer { // a long line is rare
			r.buf = make([]byte, min(firstBuffer, r.max+1))
		}
	case r.w < len(r.buf):
	case r.r > 0:
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	case len(r.buf) <= r.max:
		r.buf = append(r.buf, make([]byte, min(len(r.buf), r.max+1-len(r.buf)))...)
	default:
		r.long = true
		return r.buf[:r.max-1]
	}
	return nil
}

// words keeps the end of what was said.
type words struct {
	mu    sync.Mutex
	lines []string
}

// maxWords is how many lines are kept, and maxWord how long each can be.
const (
	maxWords = 5
	maxWord  = 300
)

func (w *words) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	if len(line) > maxWord {
		line = strings.ToValidUTF8(line[:maxWord], "") + "…"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lines = append(w.lines, line); len(w.lines) > maxWords {
		w.lines = append(w.lines[:0], w.lines[1:]...)
	}
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}
