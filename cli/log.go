package cli

import (
	"log/slog"

	"kozo/cli/internal/term"
)

// newLog makes the log of a node: what the daemon says, on the standard error.
func (a *app) newLog(opts runOptions) *slog.Logger {
	level := slog.LevelInfo
	if opts.verbose {
		level = slog.LevelDebug
	}
	if opts.logJSON {
		return slog.New(slog.NewJSONHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	}
	// The journal has the time, and takes the level from a prefix.
	journal := a.getenv("JOURNAL_STREAM") != "" && !term.IsTerminal(a.stderr)
	return slog.New(term.NewLog(a.stderr, term.StyleFor(a.stderr, a.getenv), level, journal))
}
