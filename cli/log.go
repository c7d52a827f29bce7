package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"

	"kozo/cli/internal/spool"
	"kozo/cli/internal/term"
)

// What a node says must not hold it up. So it goes by way of spools, with these
// bounds.
const (
	logRoom     = 64 << 10 // bytes of the log
	outRoom     = 256 << 10
	outPatience = 500 * time.Millisecond // for those who read slowly what roles print
	lastWords   = 250 * time.Millisecond // for what waits at the end
)

// spooled makes a spool and runs it. The function that is returned ends it, and
// gives what still waits a moment; if nobody takes it even then, it stays behind
// with its goroutine, and both end with the program.
func spooled(cfg spool.Config) (io.Writer, func()) {
	s := spool.New(cfg)
	ctx, end := context.WithCancel(context.Background())
	written := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(written)
	}()
	return s, func() {
		end()
		select {
		case <-written:
		case <-time.After(lastWords):
		}
	}
}

// nodeLog makes the log of a node, on the standard error by way of w. From now on
// all else that is said goes the same way, which settle ends.
func (a *app) nodeLog(opts runOptions, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	var text bytes.Buffer
	note, _ := a.newLog(opts, &text)
	way, settle := spooled(spool.Config{To: w, Size: logRoom, Lost: func(lines int) []byte {
		text.Reset()
		note.Warn("lines of this log are lost: they could not be written in time", "lost", lines)
		return text.Bytes()
	}})
	log, level := a.newLog(opts, way)
	a.stderr, a.settle = way, settle
	return log, level
}

// nodeOut makes the output of the roles of a node, which goes to w, and the
// function that ends it.
func nodeOut(w io.Writer, log *slog.Logger) (io.Writer, func()) {
	return spooled(spool.Config{To: w, Size: outRoom, Patience: outPatience, Lost: func(lines int) []byte {
		log.Warn("lines that roles printed are lost: they could not be written in time", "lost", lines)
		return nil
	}})
}

// newLog makes a log with the look of a node's, which suits the standard error,
// and writes it to w; its level may be changed later.
func (a *app) newLog(opts runOptions, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	if opts.verbose {
		level.Set(slog.LevelDebug)
	}
	if opts.logJSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), level
	}
	// The journal has the time, and takes the level from a prefix.
	journal := a.getenv("JOURNAL_STREAM") != "" && !term.IsTerminal(a.stderr)
	return slog.New(term.NewLog(w, term.StyleFor(a.stderr, a.getenv), level, journal)), level
}
