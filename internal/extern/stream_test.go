//go:build unix

package extern_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"kozo"
)

// prelude is what the programs of these tests have in common.
const prelude = `#!/usr/bin/env python3
import json, socket, sys, time
def say(**line):
    print(json.dumps(line), flush=True)
def hand(m, **more):
    s = socket.socket(socket.AF_UNIX)
    s.connect(m['socket'])
    s.sendall(json.dumps(dict(more, token=m['token'])).encode() + b'\n')
    return s
def lines():
    for text in sys.stdin:
        m = json.loads(text)
        if m['op'] == 'hello':
            say(op='hello', protocol=1)
        elif m['op'] == 'about':
            say(op='about', id=m['id'], endpoints=['here'])
        else:
            yield m
`

const description = `
if sys.argv[1:]:
    print(json.dumps(DESCRIPTION))
    sys.exit()
`

// streams is a transport whose program runs until the end of the test.
type streams struct {
	kozo.Transport
	env *kozo.TransportEnv
	log *strings.Builder
	mu  *sync.Mutex
	run chan error
}

func (s streams) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s streams) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func pythonType(t *testing.T, describe, script string) kozo.TransportType {
	t.Helper()
	dir := t.TempDir()
	text := prelude
	if describe != "" {
		text += "DESCRIPTION = " + describe + description
	} else {
		text += "if sys.argv[1:]: sys.exit(9)\n"
	}
	put(t, dir, "py.py", text+script)
	return transportIn(t, dir, "py")
}

func place(t *testing.T, typ kozo.TransportType, values kozo.Values) (kozo.Transport, error) {
	t.Helper()
	tr, err := typ.New(values)
	if err != nil {
		t.Fatal(err)
	}
	return tr, tr.(kozo.Placer).Place("here", "wire")
}

// open runs a script as a transport.
func open(t *testing.T, describe, script string) streams {
	t.Helper()
	typ := pythonType(t, describe, script)
	tr, err := place(t, typ, nil)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := place(t, typ, nil)
	if err != nil {
		t.Fatal(err)
	}
	return running(t, tr, kozo.Remote{Node: "there", Name: "wire", Type: "py", Transport: remote})
}

// running runs the program of a transport until the end of the test.
func running(t *testing.T, tr kozo.Transport, peers ...kozo.Remote) streams {
	s := streams{Transport: tr, log: &strings.Builder{}, mu: &sync.Mutex{}, run: make(chan error, 1)}
	s.env = &kozo.TransportEnv{Node: "here", Log: slog.New(slog.NewTextHandler(s, nil)), Peers: peers}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { s.run <- tr.(kozo.Runner).Run(ctx, s.env) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-s.run:
		case <-time.After(10 * time.Second):
			t.Error("the program has not ended")
		}
	})
	return s
}

func (s streams) dial(limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return s.Dial(ctx, s.env, "here")
}

const long = 20 * time.Second

func TestFailureToConnectIsToldInTheWordsOfTheProgram(t *testing.T) {
	s := open(t, "", `
for m in lines():
    if m['op'] == 'connect':
        say(op='error', id=m['id'], text='no cable for %s of %s' % (m['endpoint'], m['remote']['node']))
`)
	if _, err := s.dial(long); err == nil || err.Error() != "no cable for here of here" {
		t.Errorf("dialling says %v", err)
	}
}

// A program that never answers, or too late, holds nobody up, and what it hands
// over later is closed.
func TestDiallingEndsInTimeWhateverTheProgramDoes(t *testing.T) {
	for name, script := range map[string]string{
		"no answer": `
for m in lines():
    pass
`,
		"late": `
for m in lines():
    if m['op'] == 'connect':
        held = m
    if m['op'] == 'cancel':
        s = hand(held)
        say(op='note', text='closed' if s.recv(1) == b'' else 'not closed')
        say(op='done', id=held['id'])
`,
		"reads nothing": `
next(lines())
time.sleep(60)
`,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "", script)
			for range 3 {
				start := time.Now()
				if _, err := s.dial(time.Second); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("dialling says %v", err)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
			}
			if name == "late" {
				for end := time.Now().Add(long); !strings.Contains(s.said(), "closed"); time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("what was handed over too late is not closed: %s", s.said())
					}
				}
				if strings.Contains(s.said(), "not closed") {
					t.Error("what was handed over too late is used")
				}
			}
		})
	}
}

// When the program dies, so do its streams, and everything that waits for it.
func TestDeathOfTheProgramEndsEverything(t *testing.T) {
	s := open(t, "", `
for m in lines():
    if m['op'] == 'connect':
        stream = hand(m, address='far away')
        say(op='done', id=m['id'])
        if stream.recv(1):
            sys.exit('out of wire')
    if m['op'] == 'listen':
        say(op='done', id=m['id'], address='everywhere')
`)
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	l, err := s.Listen(ctx, s.env)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Addr().String() != "everywhere" {
		t.Errorf("it listens at %s", l.Addr())
	}
	c, err := s.dial(long)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != "far away" {
		t.Errorf("the far end is %s", c.RemoteAddr())
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(long))
	if _, err := io.ReadAll(c); os.IsTimeout(err) {
		t.Error("the stream has not ended")
	}
	err = <-accepted
	if err == nil || !strings.Contains(err.Error(), "out of wire") {
		t.Errorf("accepting says %v", err)
	}
	if err := <-s.run; err == nil || !strings.Contains(err.Error(), "out of wire") {
		t.Errorf("it has ended with %v", err)
	}
	s.run <- nil // for the end of the test
	if _, err := s.dial(long); err == nil || !strings.Contains(err.Error(), "out of wire") {
		t.Errorf("dialling says %v", err)
	}
}

func TestPeerThatTheProgramHasProven(t *testing.T) {
	const secure = `{'protocol': 1, 'kind': 'transport', 'secure': True, 'options': {}}`
	s := open(t, secure, `
answers = [{'peer': 'there'}, {}]
for m in lines():
    if m['op'] == 'connect':
        keep = hand(m, **answers.pop(0))
        say(op='done', id=m['id'])
`)
	sec, ok := s.Transport.(kozo.Secured)
	if !ok {
		t.Fatal("the transport is not secured")
	}
	for _, want := range []kozo.NodeName{"there", ""} {
		c, err := s.dial(long)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, name, err := sec.Secure(t.Context(), s.env, c, nil)
		if name != want || (err == nil) != (want != "") {
			t.Errorf("the peer is %q, %v; want %q", name, err, want)
		}
	}
	if _, ok := open(t, "", "list(lines())").Transport.(kozo.Secured); ok {
		t.Error("a transport that does not say so is secured")
	}
}

func TestWhatAProgramSaysAboutABlock(t *testing.T) {
	typ := pythonType(t, `{'protocol': 1, 'kind': 'transport', 'canConnect': True, 'options': {'say': {'type': 'string', 'default': '{}'}}}`, `
for text in sys.stdin:
    m = json.loads(text)
    if m['op'] == 'hello':
        say(op='hello', protocol=1)
    if m['op'] == 'about':
        print('{"op":"about","id":%s,%s' % (m['id'], m['block']['options']['say'][1:]), flush=True)
    if m['op'] == 'canConnect':
        say(op='canConnect', id=m['id'], can=m['remote']['type'] == 'tcp' and m['remote']['options']['port'] == 9001)
`)
	for text, want := range map[string]string{
		`{"endpoints":["a","b"],"priority":"best","binds":["tcp :1"],"warnings":[{"text":"odd"}]}`: "",
		`{"endpoints":["a"],"accepts":false}`:                                                      "",
		`{"endpoints":[""]}`:                                                                       `"" is not an endpoint`,
		`{"endpoints":"a"}`:                                                                        "its answer is not right",
		`{"priority":"high"}`:                                                                      `its priority is "high"; it is one of worst, poor, fair, good, best`,
		`{"errors":[{"option":"say","text":"not like that"}]}`:                                     "say: not like that",
		`{"errors":[{"text":"\u001b[2J"}]}`:                                                        `\x1b[2J`,
		`{"endpoints":["` + strings.Repeat("x", 2000) + `"]}`:                                      "is not an endpoint",
	} {
		tr, err := place(t, typ, kozo.Values{"say": text})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if strings.Contains(text, "best") {
			if e := tr.Endpoints(); len(e) != 2 || kozo.PriorityOf(tr) != kozo.Best ||
				tr.(kozo.Binder).Binds()[0] != "tcp :1" || tr.(kozo.Warner).Warnings()[0].Error() != "odd" {
				t.Errorf("the transport is %+v", tr)
			}
			for port, want := range map[kozo.Port]bool{9001: true, 9002: false} {
				if tr.(kozo.Seeker).CanSeek(kozo.Remote{Node: "x", Type: "tcp", Values: kozo.Values{"port": port}}) != want {
					t.Errorf("port %d: it can not connect, or can", port)
				}
			}
		}
		if strings.Contains(text, "accepts") && len(tr.Endpoints()) > 0 {
			t.Error("who does not accept has endpoints")
		}
	}
}

func TestProgramThatDoesNotAnswerQuestions(t *testing.T) {
	for _, test := range []struct{ script, want string }{
		{"sys.exit('cannot think')\n", "cannot think"},
		{"for text in sys.stdin:\n    m = json.loads(text)\n    say(op='hello', protocol=1) if m['op'] == 'hello' else say(op='error', id=m['id'], text='ask others')\n", "ask others"},
	} {
		typ := pythonType(t, "", test.script)
		if _, err := place(t, typ, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.script, err, test.want)
		}
	}
}

func TestHelloOfATransport(t *testing.T) {
	s := open(t, "", `
for text in sys.stdin:
    m = json.loads(text)
    if m['op'] == 'hello':
        say(op='hello', protocol=1, **({'accepts': 1000} if m['mode'] == 'run' else {}))
    if m['op'] == 'about':
        say(op='about', id=m['id'], endpoints=['here'])
`)
	if err := <-s.run; err == nil || !strings.Contains(err.Error(), `"accepts" in its hello is 1000; it is a number from 1 to 64`) {
		t.Errorf("it has ended with %v", err)
	}
	s.run <- nil
}
