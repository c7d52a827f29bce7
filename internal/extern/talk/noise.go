package talk

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"kozo"
)

// The bounds of what a program can write into the log: so many lines at once,
// then so many in a second, and now and then the number of those left out.
const (
	noiseBurst  = 100
	noisePerSec = 10
	noiseReport = 10 * time.Second
)

// noise takes lines of a program into the log, and counts what is too much.
type noise struct {
	log *slog.Logger

	mu     sync.Mutex
	tokens float64
	last   time.Time
	missed int
	told   time.Time // how many were missed
}

func newNoise(log *slog.Logger) *noise {
	return &noise{log: log, tokens: noiseBurst, last: time.Now()}
}

// say logs a text. Its lines stay lines, and each is safe to print.
func (n *noise) say(level slog.Level, message, text string) {
	n.mu.Lock()
	now := time.Now()
	n.tokens = min(noiseBurst, n.tokens+now.Sub(n.last).Seconds()*noisePerSec)
	n.last = now
	if n.tokens < 1 {
		n.missed++
		n.mu.Unlock()
		return
	}
	n.tokens--
	missed := 0
	if n.missed > 0 && now.Sub(n.told) >= noiseReport {
		missed, n.missed, n.told = n.missed, 0, now
	}
	n.mu.Unlock()
	n.report(missed)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = kozo.Printable(line)
	}
	n.log.Log(context.Background(), level, message, "text", strings.Join(lines, "\n"))
}

// flush reports what was left out last.
func (n *noise) flush() {
	n.mu.Lock()
	missed := n.missed
	n.missed = 0
	n.mu.Unlock()
	n.report(missed)
}

func (n *noise) report(missed int) {
	if missed > 0 {
		n.log.Warn("the program says more than fits into the log", "lines left out", missed)
	}
}
