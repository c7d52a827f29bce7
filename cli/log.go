package cli

import (
	"io"
	"log/slog"

	"kozo/cli/internal/term"
)

// newLog makes the log of a node: what the daemon says, on the standard error,
// by way of w; its level may be changed later.
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
