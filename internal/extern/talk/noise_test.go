package talk

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A program that writes all the time, for an hour, costs the log ten lines a
// second and a few more, and every line is either there or counted.
func TestNoiseThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		counted := 0
		n := newNoise(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == "lines left out" {
					counted += int(a.Value.Int64())
				}
				return a
			},
		})))
		const hour, each = time.Hour, 10 * time.Millisecond
		for range hour / each {
			n.say(slog.LevelInfo, "the program says", "noise")
			time.Sleep(each)
		}
		n.flush()
		lines := strings.Count(log.String(), "msg=\"the program says\"")
		if lines+counted != int(hour/each) {
			t.Errorf("%d lines and %d counted, of %d", lines, counted, hour/each)
		}
		if most := noiseBurst + noisePerSec*int(hour.Seconds()); lines > most {
			t.Errorf("%d lines, more than %d", lines, most)
		}
		if reports := strings.Count(log.String(), "left out"); reports < 2 || reports > int(hour/noiseReport)+2 {
			t.Errorf("%d lines about lines that were left out", reports)
		}
	})
}
