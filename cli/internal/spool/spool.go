// Package spool lets lines be written to what may stop taking them, a pipe that
// nobody reads, a stopped terminal, a journal that hangs, while whoever has
// something to say goes on.
package spool

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"
)

// keep is how much memory is kept for the next lines, in bytes. More than that
// was for a burst.
const keep = 8 << 10

// Config is what a Spool is made of.
type Config struct {
	To   io.Writer
	Size int // bytes that may wait, but for one long line, beside those that are being written

	// Patience is how long Write waits for room. After that it waits no more until
	// something has been written, so that a slow reader slows down and one that has
	// gone does not.
	Patience time.Duration

	// Lost is told how many lines were lost, once writing goes on. What it returns
	// is written in their place.
	Lost func(lines int) []byte
}

// Spool is a writer that does not block for long, whatever happens to the one
// behind it. It may be used from several goroutines at once.
type Spool struct {
	cfg  Config
	wake chan struct{} // there may be lines

	mu      sync.Mutex
	waiting []byte        // whole lines
	spare   []byte        // for the next ones; empty
	lost    int           // lines that have not been told of
	stuck   bool          // patience has run out
	room    chan struct{} // closed when there is some; nil: nobody waits
}

// New makes a spool; what is written to it stays there until Run runs.
func New(cfg Config) *Spool { return &Spool{cfg: cfg, wake: make(chan struct{}, 1)} }

// Write takes whole lines, and never fails: a line that could not be written is
// counted as lost. If there is no room for them the oldest are.
func (s *Spool) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Patience > 0 && !s.stuck && !s.fits(lines) {
		s.stuck = !s.await(lines)
	}
	for !s.fits(lines) {
		s.drop()
	}
	s.waiting = append(s.waiting, lines...)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return len(lines), nil
}

func (s *Spool) fits(lines []byte) bool {
	return len(s.waiting) == 0 || len(s.waiting)+len(lines) <= s.cfg.Size
}

// await gives up mu until there is room, and says whether there is.
func (s *Spool) await(lines []byte) bool {
	late := time.NewTimer(s.cfg.Patience)
	defer late.Stop()
	for !s.fits(lines) {
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
			s.mu.Lock()
		case <-late.C:
			s.mu.Lock()
			return s.fits(lines)
		}
	}
	return true
}

// drop makes room: a quarter at a time, since what stays has to be moved.
func (s *Spool) drop() {
	end := min(s.cfg.Size/4, len(s.waiting)-1)
	if rest := bytes.IndexByte(s.waiting[end:], '\n'); rest >= 0 {
		end += rest + 1
	} else {
		end = len(s.waiting)
	}
	s.lost += bytes.Count(s.waiting[:end], []byte("\n"))
	s.waiting = append(s.waiting[:0], s.waiting[end:]...)
}

// Run writes what there is to write until ctx is done and nothing waits any more.
// Nothing can make it return while the writer behind blocks.
func (s *Spool) Run(ctx context.Context) {
	for {
		last := ctx.Err() != nil // asked first, so that nothing is left behind
		if lines := s.take(); len(lines) > 0 {
			s.write(lines)
			continue
		}
		if last {
			return
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

func (s *Spool) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.waiting
	if len(lines) == 0 {
		return nil
	}
	s.waiting, s.spare = s.spare, nil
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	return lines
}

func (s *Spool) write(lines []byte) {
	n, err := s.cfg.To.Write(lines)
	s.mu.Lock()
	if cap(lines) <= keep {
		s.spare = lines[:0]
	}
	if err != nil {
		s.lost += bytes.Count(lines[n:], []byte("\n"))
		s.mu.Unlock()
		return
	}
	lost := s.lost
	s.stuck, s.lost = false, 0
	s.mu.Unlock()
	if lost == 0 {
		return
	}
	if text := s.cfg.Lost(lost); len(text) > 0 {
		if _, err := s.cfg.To.Write(text); err != nil {
			s.mu.Lock()
			s.lost += lost
			s.mu.Unlock()
		}
	}
}
