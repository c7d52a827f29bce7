package logger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"kozo"
)

const (
	maxBuffer = 64 << 10               // bytes that wait to be written, but for one long line
	maxWait   = time.Second            // how long a line waits to be written
	maxStuck  = time.Second            // how long a pipe may be full
	minRetry  = 500 * time.Millisecond // back-off while the file cannot be written
	maxRetry  = time.Minute
)

// file is the log file: a buffer of lines and the way to get them to the disk.
// While the file cannot be written, lines are kept as long as they fit into the
// buffer; those that do not are counted.
type file struct {
	path       string
	flushEvery int
	clear      bool // empty the file when it is first opened
	maxSize    int64
	keep       int
	line       func(level, text string) []byte // makes a line of the logger's own
	log        *slog.Logger

	due <-chan time.Time // when to call flush; nil: not needed

	f       *os.File // nil: not open
	regular bool     // and neither a device nor a pipe
	size    int64
	buf     []byte // whole lines, but for one that was begun in the file
	lines   int    // added since the last flush

	failing error // why the file cannot be written; nil: it can
	retry   time.Duration
	since   time.Time
	lost    int // lines that did not fit into the buffer while failing
}

func newFile(o options, line func(level, text string) []byte, log *slog.Logger) *file {
	return &file{
		path: string(o.File), flushEvery: o.FlushEvery, clear: o.ClearLog,
		maxSize: int64(o.MaxSize), keep: o.Keep, line: line,
		log: log.With("file", string(o.File)),
	}
}

// add puts a line into the buffer, and writes the buffer if it is time.
func (f *file) add(line []byte) {
	if f.failing != nil {
		if len(f.buf)+len(line) > maxBuffer {
			f.lost++
		} else {
			f.buf = append(f.buf, line...)
		}
		return
	}
	f.buf = append(f.buf, line...)
	f.lines++
	if f.lines >= f.flushEvery || len(f.buf) >= maxBuffer {
		f.flush()
	} else if f.due == nil {
		f.due = time.After(maxWait)
	}
}

// flush writes the buffer. When that fails, due is set for the next attempt.
func (f *file) flush() {
	f.due, f.lines = nil, 0
	err := f.write()
	if err == nil && f.failing != nil {
		f.recovered()
		err = f.write() // the line that says so
	}
	if err != nil {
		f.failed(err)
	}
}

func (f *file) failed(err error) {
	if f.failing == nil {
		f.log.Error("cannot write the log file; trying again", "err", err)
		f.since, f.retry = time.Now(), minRetry
	} else {
		f.retry = min(2*f.retry, maxRetry)
	}
	f.failing = err
	if f.f != nil {
		f.f.Close() // what it could not write is still in the buffer
		f.f = nil
	}
	f.due = time.After(f.retry)
}

func (f *file) recovered() {
	f.log.Info("the log file is written again", "lost", f.lost)
	if f.lost > 0 {
		f.buf = append(f.buf, f.line(kozo.Error, fmt.Sprintf("%d lines were lost here within %v: %v",
			f.lost, time.Since(f.since).Round(time.Second), f.failing))...)
	}
	f.failing, f.lost = nil, 0
}

// write empties the buffer into the file, moving full files away.
func (f *file) write() error {
	if f.f == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	for len(f.buf) > 0 {
		part := f.fitting()
		if len(part) == 0 {
			if err := f.rotate(); err != nil {
				return err
			}
			continue
		}
		if !f.regular {
			_ = f.f.SetWriteDeadline(time.Now().Add(maxStuck)) // a device may have none
		}
		n, err := f.f.Write(part)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("%s is a pipe, and whoever has it open does not read", f.path)
		}
		f.size += int64(n)
		f.buf = f.buf[n:]
		if err != nil {
			return err
		}
	}
	f.buf = nil // a burst should not cost memory for ever
	return nil
}

// fitting returns the lines of the buffer that have room in the file: at least
// one if the file is empty, since a long line has to go somewhere.
func (f *file) fitting() []byte {
	if f.maxSize <= 0 || !f.regular || f.size+int64(len(f.buf)) <= f.maxSize {
		return f.buf
	}
	if room := f.maxSize - f.size; room > 0 {
		if end := bytes.LastIndexByte(f.buf[:min(room, int64(len(f.buf)))], '\n'); end >= 0 {
			return f.buf[:end+1]
		}
	}
	if f.size == 0 {
		return f.buf[:bytes.IndexByte(f.buf, '\n')+1]
	}
	return nil
}

func (f *file) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
		return err
	}
	// Without the last one a pipe that nobody reads would hold up the role for ever.
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND | syscall.O_NONBLOCK
	if f.clear {
		flags |= os.O_TRUNC
	}
	w, err := os.OpenFile(f.path, flags, 0o640)
	if errors.Is(err, syscall.ENXIO) {
		return fmt.Errorf("%s is a pipe, and nobody reads it", f.path)
	}
	if err != nil {
		return err
	}
	info, err := w.Stat()
	if err != nil {
		w.Close()
		return err
	}
	f.f, f.clear, f.size, f.regular = w, false, info.Size(), info.Mode().IsRegular()
	return nil
}

// rotate moves the file to FILE.1, FILE.1 to FILE.2 and so on, and opens a new
// one.
func (f *file) rotate() error {
	err := f.f.Close()
	f.f = nil
	if err != nil {
		return err
	}
	numbered := func(i int) string { return f.path + "." + strconv.Itoa(i) }
	for i := f.keep - 1; i >= 1; i-- {
		if err := os.Rename(numbered(i), numbered(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if f.keep > 0 {
		err = os.Rename(f.path, numbered(1))
	} else {
		err = os.Remove(f.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.open()
}

// reopen closes the file and opens it again, or creates it if it was moved away.
func (f *file) reopen() {
	if f.failing == nil && f.f != nil {
		f.flush()
	}
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
	f.flush()
}

// close writes what is in the buffer and closes the file.
func (f *file) close() {
	if len(f.buf) > 0 || f.failing != nil {
		f.flush()
	}
	f.due = nil
	if lost := f.lost + bytes.Count(f.buf, []byte("\n")); lost > 0 {
		f.log.Error("lines of the log are lost", "lost", lost, "err", f.failing)
	}
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}
