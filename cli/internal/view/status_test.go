package view

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kozo/cli/internal/term"
	"kozo/internal/status"
)

// update rewrites the golden files.
var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has\n%s\nbut this was printed (-update accepts it):\n%s", path, want, got)
	}
}

// troubled is a node with one of everything that can be seen.
func troubled() status.Node {
	now := time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	ago := func(d time.Duration) *time.Time {
		t := now.Add(-d)
		return &t
	}
	next := now.Add(12 * time.Second)
	return status.Node{
		Name: "clock", Version: "0.1.0", PID: 4711, Now: now, Since: *ago(3*time.Hour + 12*time.Minute),
		Config: "/etc/kozo/config.yml",
		Transports: []status.Transport{
			{Name: "tcp", Type: "tcp", Listens: "[::]:9001"},
			{Name: "backdoor", Type: "tcp", Error: "port 9002 is in use"},
			{Name: "out", Type: "tcp"},
		},
		Links: []status.Link{
			{
				Peer: "scribe", Policy: "constant", State: "up", Transport: "tcp", Endpoint: "scribe.local:9001",
				Since: ago(3 * time.Hour), RoundTrip: 0.0012, Skew: 2.5, Connects: 1,
				Targets: []status.Target{{Transport: "tcp", Endpoint: "scribe.local:9001", Tried: ago(3 * time.Hour)}},
				Out:     status.Ledger{Sent: 11520, Delivered: 11518, InFlight: 2},
				In:      status.Inbound{Connected: true, Since: ago(3 * time.Hour), Received: 12, Accepted: 12},
			},
			{
				Peer: "attic", Policy: "constant", State: "waiting", Since: ago(25 * time.Minute),
				Reason: "nothing received for 25 s", NextAttempt: &next, Connects: 7,
				Targets: []status.Target{
					{Transport: "tcp", Endpoint: "attic.local:9001", Tried: ago(40 * time.Second), Error: "cannot resolve attic.local: no machine of the local network answers to this name, nor does a name server"},
					{Transport: "tcp", Endpoint: "10.0.0.7:9001", Tried: ago(30 * time.Second), Error: "no answer \x1b[31mwithin 10 s"},
					{Transport: "onion", Endpoint: "abcdefghijklmnopqrstuvwxyz.onion:9001"},
				},
				Out: status.Ledger{Sent: 123456, Delivered: 123098, Queued: 128, InFlight: 2, Dropped: map[string]uint64{"expired": 220, "cut": 8}},
				In:  status.Inbound{Received: 9, Accepted: 7, Dropped: map[string]uint64{"undecodable": 2}},
			},
			{
				Peer: "hermit", Policy: "ondemand", State: "idle",
				In: status.Inbound{Connected: true, Since: ago(time.Minute)},
			},
			{
				Peer: "phone", Policy: "constant", State: "up", Transport: "tcp", Rides: true, Since: ago(90 * time.Second),
				RoundTrip: 0.212, Skew: -0.02, Drift: []string{"system.clock", "heartbeat"},
			},
			{Peer: "vault", Policy: "never", State: "off", Reason: "selfToOthersConnectPolicy of clock is never"},
		},
		Roles: []status.Role{
			{Name: "timer1", Type: "timer", State: "running", Sent: 11520},
			{
				Name: "logger", Type: "logger", State: "waiting", Restarts: 3, Error: "disk full",
				Inbox: status.Inbox{Offered: 2000, Taken: 900, Queued: 1000, Bytes: 123456, Dropped: map[string]uint64{"inbox full": 100}},
				Note:  "has not read its inbox for 5 min",
			},
		},
		Strangers: []status.Stranger{
			{
				Address: "10.0.0.9:41234", Name: "porch", Count: 3, Last: *ago(5 * time.Second), Reason: "there is no node with this name",
				Key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFHF83MlZUjepSEiIuYvtWf+Dy1XIDoIfSwPWu539y+U",
			},
			{
				Address: "10.0.0.7:9", Name: "attic", Count: 1, Last: *ago(time.Minute), Reason: "the key is not that of attic",
				Key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIIE39H32p/X2OZn6fo2v90c78C9wvnaoUSvHoq4HoOC",
			},
			{Address: "10.0.0.66:1", Name: "x:\n    y\x1b[2J", Count: 40, Last: *ago(time.Hour), Reason: "bad key", Key: "rm -rf /"},
		},
	}
}

func TestStatus(t *testing.T) {
	text := Status(term.Style{}, troubled())
	golden(t, "status.golden", text)
	for line := range strings.Lines(text) {
		if w := term.Width(strings.TrimSuffix(line, "\n")); w > 100 && !strings.Contains(line, "publicKey:") {
			t.Errorf("%d columns: %s", w, line)
		}
		if strings.ContainsAny(line, "\x1b\x07") {
			t.Errorf("what a stranger sent reaches the terminal: %q", line)
		}
	}
}

func TestStatusOfANodeAlone(t *testing.T) {
	now := time.Now()
	text := Status(term.Style{}, status.Node{Name: "solo", Version: "0.1.0", PID: 1, Now: now, Since: now.Add(time.Hour)})
	if !strings.Contains(text, "running for 0.0 ms") || !strings.Contains(text, "alone") {
		t.Errorf("a node alone, whose clock was put back, is shown as\n%s", text)
	}
}

func TestNumbers(t *testing.T) {
	for want, got := range map[string]string{
		"99999":                number(99_999),
		"100k":                 number(100_000),
		"1.5M":                 number(1_500_000),
		"12 B":                 sizeOf(12),
		"123 kB":               sizeOf(123_456),
		"tcp sc…l:9001":        shorten("tcp scribe.local:9001", 13),
		"short":                shorten("short", 13),
		"2 queue full, 10 cut": causes(map[string]uint64{"cut": 10, "queue full": 2, "expired": 0}),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
