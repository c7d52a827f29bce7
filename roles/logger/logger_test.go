package logger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/kozotest"
)

// start runs a logger that writes to a file of the test.
func start(t *testing.T, file string, values kozo.Values) *kozotest.RoleRun {
	t.Helper()
	all := kozo.Values{"file": kozo.Path(file), "timePrefix": ""}
	for k, v := range values {
		all[k] = v
	}
	return kozotest.RunRole(t, kozotest.Make(t, Type(), all),
		kozotest.Options{Self: kozo.RoleRef{Node: "scribe", Role: "logger"}})
}

func say(level, text string) kozo.Message {
	m := kozo.NewLog(level, text)
	m.From = kozo.RoleRef{Node: "clock", Role: "timer1"}
	return m
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func expect(t *testing.T, file, want string) {
	t.Helper()
	if got := read(t, file); got != want {
		t.Errorf("%s has\n%s\nwant\n%s", filepath.Base(file), got, want)
	}
}

func TestPrintsAndWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "a", "b", "kozo.log")
		role := start(t, file, kozo.Values{"timePrefix": Type().Options[1].Default})
		prefix := time.Now().Format("[2006-01-02 15:04:05] ")
		object, err := kozo.Pack(map[string]any{"a": 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []kozo.Message{
			say(kozo.Info, "hello"), say("", "no level"), say(kozo.Warn, "careful\n"), say(kozo.Info, ""),
			{Kind: kozo.Log, Type: kozo.Error, From: kozo.RoleRef{Node: "n", Role: "r"}, Body: object},
		} {
			if !role.Deliver(m) {
				t.Error("a log message is not wanted")
			}
		}
		if err := role.Stop(); err != nil {
			t.Error(err)
		}
		want := ""
		for _, line := range []string{"timer1@clock: hello", "timer1@clock: no level", "timer1@clock: warn: careful", "timer1@clock: ", `r@n: error: {"a":1}`} {
			want += prefix + line + "\n"
		}
		expect(t, file, want)
		if role.Out() != want {
			t.Errorf("printed\n%s\nwant\n%s", role.Out(), want)
		}
		if role.Log() != "" || len(role.Sent()) > 0 {
			t.Errorf("log: %s, sent: %v", role.Log(), role.Sent())
		}
	})
}

// What comes from the network cannot pretend to be another line, nor play with
// the terminal.
func TestLinesCannotBeForged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kozo.log")
	role := start(t, file, nil)
	m := say("info\nx", "a\r\nb@c: forged\x1b[2J\u2028\u0085\xff\x00")
	m.From.Node = "n\n"
	role.Deliver(m)
	role.Stop()
	want := `timer1@n\n: info\nx: a\r\nb@c: forged\x1b[2J\u2028\u0085�\x00` + "\n"
	expect(t, file, want)
	if role.Out() != want {
		t.Errorf("printed %q", role.Out())
	}
}

func TestInterest(t *testing.T) {
	role := start(t, os.DevNull, kozo.Values{"node": kozo.List{"clock", "attic"}})
	for node, want := range map[kozo.NodeName]bool{"clock": true, "attic": true, "scribe": false} {
		m := say(kozo.Info, "x")
		m.From.Node = node
		if role.Deliver(m) != want {
			t.Errorf("node %s: wanted: %v", node, !want)
		}
	}
	if role.Deliver(kozo.Message{Kind: kozo.Event, Type: "info", From: kozo.RoleRef{Node: "clock"}}) {
		t.Error("an event is wanted")
	}
}

func TestOptions(t *testing.T) {
	for option, value := range map[string]any{
		"timePrefix": "%Q", "node": kozo.List{"clock", "no name"}, "file": kozo.Path(""),
	} {
		_, err := Type().New(kozo.Values{option: value})
		if e, ok := errors.AsType[*kozo.OptionError](err); !ok || e.Option != option {
			t.Errorf("%s: %v: error %v", option, value, err)
		}
	}
	for _, o := range Type().Options {
		for _, text := range map[string][]string{"flushEvery": {"0", "-1"}, "maxSize": {"-1"}, "keep": {"-1", "1001"}}[o.Name] {
			if _, err := o.Parse(kozo.Raw{Text: text}); err == nil {
				t.Errorf("%s: %s was accepted", o.Name, text)
			}
		}
	}
}

func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "kozo.log")
		role := start(t, file, kozo.Values{"flushEvery": 3})
		line := "timer1@clock: x\n"
		deliver := func() {
			role.Deliver(say(kozo.Info, "x"))
			synctest.Wait()
		}
		deliver()
		deliver()
		expect(t, file, "")
		deliver() // the third
		expect(t, file, strings.Repeat(line, 3))
		deliver()
		time.Sleep(900 * time.Millisecond)
		deliver()
		expect(t, file, strings.Repeat(line, 3))
		time.Sleep(100 * time.Millisecond) // a steady trickle must not keep a line waiting
		synctest.Wait()
		expect(t, file, strings.Repeat(line, 5))
		role.Deliver(say(kozo.Info, strings.Repeat("y", maxBuffer))) // more than is kept in memory
		synctest.Wait()
		if n := len(read(t, file)); n < maxBuffer {
			t.Errorf("%d bytes are in the file", n)
		}
		// What arrives while the node stops is not lost.
		for range 1000 {
			role.Deliver(say(kozo.Info, "x"))
		}
		role.Stop()
		if n := strings.Count(read(t, file), line); n != 1005 {
			t.Errorf("%d lines are in the file, want 1005", n)
		}
	})
}

func TestClearLog(t *testing.T) {
	for _, clear := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "kozo.log")
		if err := os.WriteFile(file, []byte("old\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		role := start(t, file, kozo.Values{"clearLog": clear})
		role.Deliver(say(kozo.Info, "1"))
		role.Wait("the first line to be printed", func() bool { return strings.Contains(role.Out(), "1") })
		role.Reopen()
		role.Wait("the first line to be written", func() bool { return strings.Contains(read(t, file), ": 1\n") })
		role.Deliver(say(kozo.Info, "2"))
		role.Stop()
		want := "timer1@clock: 1\ntimer1@clock: 2\n"
		if !clear {
			want = "old\n" + want
		}
		expect(t, file, want)
	}
}

func TestReopen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kozo.log")
	role := start(t, file, nil)
	role.Deliver(say(kozo.Info, "before"))
	role.Wait("the first line", func() bool { return strings.Contains(role.Out(), "before") })
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	role.Reopen()
	role.Wait("a new file", func() bool { _, err := os.Stat(file); return err == nil })
	role.Deliver(say(kozo.Info, "after"))
	role.Stop()
	expect(t, file+".old", "timer1@clock: before\n")
	expect(t, file, "timer1@clock: after\n")
}

func TestRotation(t *testing.T) {
	const line = len("timer1@clock: 00\n")
	for _, test := range []struct {
		keep, perFile, flushEvery int
		want                      []string // what is in FILE, FILE.1, …
	}{
		{3, 2, 1, []string{"08 09", "06 07", "04 05", "02 03"}},
		{3, 2, 1024, []string{"08 09", "06 07", "04 05", "02 03"}},
		{1, 3, 4, []string{"09", "06 07 08"}},
		{0, 4, 1024, []string{"08 09"}},
		{5, 0, 1024, []string{"09", "08", "07", "06", "05", "04"}}, // a line is longer than a file should be
		{1, 100, 1, []string{"00 01 02 03 04 05 06 07 08 09"}},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "kozo.log")
		role := start(t, file, kozo.Values{
			"maxSize": kozo.Size(max(test.perFile*line+line/2, 1)), "keep": test.keep, "flushEvery": test.flushEvery,
		})
		for i := range 10 {
			role.Deliver(say(kozo.Info, fmt.Sprintf("%02d", i)))
		}
		role.Stop()
		for i, numbers := range test.want {
			want := ""
			for n := range strings.FieldsSeq(numbers) {
				want += "timer1@clock: " + n + "\n"
			}
			name := file
			if i > 0 {
				name = fmt.Sprintf("%s.%d", file, i)
			}
			expect(t, name, want)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != len(test.want) {
			t.Errorf("%+v: files %v", test, entries)
		}
		if role.Log() != "" {
			t.Errorf("%+v: %s", test, role.Log())
		}
	}
}

func TestRotationGoesOnAfterARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kozo.log")
	for i := range 4 {
		role := start(t, file, kozo.Values{"maxSize": kozo.Size(40), "keep": 1})
		role.Deliver(say(kozo.Info, fmt.Sprint(i)))
		role.Stop()
	}
	expect(t, file, "timer1@clock: 2\ntimer1@clock: 3\n")
	expect(t, file+".1", "timer1@clock: 0\ntimer1@clock: 1\n")
}

func TestPrefix(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"": true, "[%Y-%m-%d %H:%M:%S] ": true, "100%%": true, "%F %T.%f %z %:z %::z %Z": true, "%-d %_H %5Y %^a %#p": true,
		"構造 %H": true, "%c %+ %v %r %D %R": true,
		"%": false, "x%": false, "%Q": false, "%E": false, "%:Y": false, "%::::z": false, "%-": false, "%12": false, "%:": false,
		"%n": false, "%t": false, "a\nb": false, "a\tb": false, "\x1b[1m": false, "%65Y": false, "%99999999999999999999Y": false, "%構": false,
	} {
		if err := checkPrefix(prefix); (err == nil) != ok {
			t.Errorf("%q: error %v", prefix, err)
		}
	}
}

// An instance that has failed may have been woken up for messages that it did
// not take. Nobody is told of these again.
func TestMessagesFromBeforeTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kozo.log")
	role := kozotest.RunRole(t, sleepy{kozotest.Make(t, Type(), kozo.Values{"file": kozo.Path(file), "timePrefix": ""}).(*logger)})
	role.Deliver(say(kozo.Info, "x"))
	role.Wait("the message", func() bool { return strings.Contains(role.Out(), "x") })
}

// sleepy is a role that begins when somebody has been woken up already.
type sleepy struct{ *logger }

func (s sleepy) Run(ctx context.Context, env *kozo.Env) error {
	<-env.Inbox.Ready()
	return s.logger.Run(ctx, env)
}
