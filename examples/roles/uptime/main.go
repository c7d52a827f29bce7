// The program uptime is a role in Go without the packages of Kōzō: it sends how
// long its machine has been up. docs/protocol-programs.md says what is spoken.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const description = `{
  "protocol": 1,
  "kind": "role",
  "version": "1.0",
  "description": "Sends for how many seconds its machine has been up.",
  "options": {
    "every": {"type": "duration", "default": "1m", "min": "100ms", "description": "Time between two messages."}
  },
  "filters": [],
  "publishes": ["event:uptime"]
}`

// line is what is needed of the lines of Kōzō.
type line struct {
	Op      string `json:"op"`
	N       uint64 `json:"n"`
	Options struct {
		Every float64 `json:"every"` // seconds
	} `json:"options"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--describe" {
		fmt.Println(description)
		return
	}
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run speaks with Kōzō until its input ends.
func run(in io.Reader, out io.Writer) error {
	var mu sync.Mutex
	say := func(v map[string]any) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(out).Encode(v) // one line
	}
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	defer ticking.Wait()
	defer close(stop)

	lines := bufio.NewReaderSize(in, 64<<10)
	for {
		text, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return err
		}
		switch l.Op {
		case "hello":
			say(map[string]any{"op": "hello", "protocol": 1, "heartbeat": 10})
			every := time.Duration(l.Options.Every * float64(time.Second))
			ticking.Go(func() { tick(every, say, stop) })
		case "ping":
			say(map[string]any{"op": "pong", "n": l.N})
		}
	}
}

// tick sends the uptime until stop.
func tick(every time.Duration, say func(map[string]any), stop <-chan struct{}) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		seconds, err := uptime()
		if err != nil {
			say(map[string]any{"op": "note", "level": "warn", "text": err.Error()})
			continue
		}
		say(map[string]any{"op": "event", "type": "uptime", "data": seconds})
	}
}

// uptime reads what Linux says.
func uptime() (float64, error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	var seconds float64
	if _, err := fmt.Sscan(strings.TrimSpace(string(text)), &seconds); err != nil {
		return 0, fmt.Errorf("/proc/uptime: %w", err)
	}
	return seconds, nil
}
