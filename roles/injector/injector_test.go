package injector

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kozo"
	"kozo/kozotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is the role on a listener of the test, so that no test needs to know a
// free port beforehand.
type served struct {
	*injector
	listener net.Listener
}

func (s served) Run(ctx context.Context, env *kozo.Env) error {
	return s.serve(ctx, env, s.listener)
}

func run(t *testing.T, values kozo.Values) (*kozotest.RoleRun, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	role := kozotest.Make(t, Type(), values).(*injector)
	return kozotest.RunRole(t, served{role, listener}), listener.Addr().String()
}

// client is one connection to the role.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{t, conn, bufio.NewReader(conn)}
}

func (c *client) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) expect(answers ...string) {
	c.t.Helper()
	for _, want := range answers {
		got, err := c.r.ReadString('\n')
		if got != want+"\n" {
			c.t.Fatalf("answer %q (%v), want %q", got, err, want)
		}
	}
}

func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Errorf("%q, %v; want the end of the connection", rest, err)
	}
}

func TestEachLineIsAnsweredAndTheNextStillWorks(t *testing.T) {
	role, address := run(t, nil)
	c := dial(t, address)
	c.write("('event', 'tick', {'a': 1})\r\n(oops\n\n['event']\n")
	c.expect("ok event tick",
		`error: column 6: the line ends, expected ')'`,
		"error: the line is empty; "+example,
		`error: column 2: this is not JSON, which a line that begins with [ should be: invalid character '\'' looking for beginning of value`)
	c.write("(" + strings.Repeat("x", 3*MaxLine) + "\n")
	c.expect("error: the line has more than 1048576 bytes")
	c.write("('order', 'de\\nbug', 'a\\tb', [])\n")
	c.expect(`ok order de\nbug to a\tb`)
	c.write("('log', 'half")
	c.write(" a line')")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.expect("ok log info")
	c.expectEnd()

	sent := role.Sent()
	if len(sent) != 3 {
		t.Fatalf("%d messages were sent, want 3: %v", len(sent), sent)
	}
	for i, want := range []string{`{"a":1}`, `[]`, `half a line`} {
		if got := sent[i].Body.Text(); got != want {
			t.Errorf("message %d is %s, want %s", i, got, want)
		}
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	role, address := run(t, nil)
	clients := make([]*client, maxConns)
	for i := range clients {
		clients[i] = dial(t, address)
		clients[i].write("(") // half a line: the connection is idle from here on
	}
	for i, c := range clients {
		c.write(fmt.Sprintf("'event', 'from', %d)\n", i))
		c.expect("ok event from")
	}
	if n := len(role.Sent()); n != maxConns {
		t.Errorf("%d messages were sent, want %d", n, maxConns)
	}

	one := dial(t, address)
	one.expect("error: there are 64 connections already")
	one.expectEnd()

	clients[0].Close()
	role.Wait("a free place", func() bool {
		c := dial(t, address)
		defer c.Close()
		io.WriteString(c, "('log', 'x')\n") // fails if there is no place yet
		answer, _ := c.r.ReadString('\n')
		return answer == "ok log info\n"
	})
}

func TestStopEndsIdleConnections(t *testing.T) {
	role, address := run(t, nil)
	c := dial(t, address)
	c.write("('log', 'x')\n('log', 'half")
	c.expect("ok log info")
	if err := role.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("the connection is still open")
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		// Somebody else may have the port by now, who answers otherwise or hangs up.
		// A listener that was left open says nothing.
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(conn, "('log', 'x')\n")
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if answer == "ok log info\n" || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the port is still open")
		}
	}
}

// A page in a web browser can send anything to a port of this machine, but only
// after a line of HTTP.
func TestWebPagesCannotInject(t *testing.T) {
	role, address := run(t, nil)
	c := dial(t, address)
	c.write("POST / HTTP/1.1\r\n('event', 'door', 'open')\r\n")
	c.expect("error: this is no web server")
	io.Copy(io.Discard, c.r)
	role.Stop()
	if sent := role.Sent(); len(sent) > 0 {
		t.Errorf("the browser has sent %v", sent)
	}
}

func TestLog(t *testing.T) {
	for _, on := range []bool{false, true} {
		role, address := run(t, kozo.Values{"log": on})
		c := dial(t, address)
		c.write("('event', 'tick')\n(\n")
		c.expect("ok event tick", "error: column 2: the line ends where a value should be")
		role.Stop()
		var logged []string
		for _, m := range role.Sent() {
			if m.Kind == kozo.Log {
				logged = append(logged, m.Type+" "+m.Body.Text())
			}
		}
		var want []string
		if on {
			who := c.LocalAddr().String()
			want = []string{
				"info injected event tick for " + who,
				"warn refused a line from " + who + ": column 2: the line ends where a value should be",
			}
		}
		if strings.Join(logged, "|") != strings.Join(want, "|") {
			t.Errorf("log %v: logged %q, want %q", on, logged, want)
		}
	}
}

func TestPortInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	values := kozo.Values{"bindAddress": "127.0.0.1", "bindPort": kozo.Port(port)}
	first := kozotest.RunRole(t, kozotest.Make(t, Type(), values))
	<-first.Done()
	if err := first.Err(); err == nil || !strings.Contains(err.Error(), fmt.Sprint(port)) {
		t.Errorf("error %v, want one that names port %d", err, port)
	}

	listener.Close()
	second := kozotest.RunRole(t, kozotest.Make(t, Type(), values))
	second.Wait("the port", func() bool { return strings.Contains(second.Log(), "messages can be injected") })
	c := dial(t, fmt.Sprintf("127.0.0.1:%d", port))
	c.write("('log', 'x')\n")
	c.expect("ok log info")
}

func TestBindsAndWarnings(t *testing.T) {
	for _, test := range []struct {
		address, binds string
		warns          bool
	}{
		{"localhost", "tcp localhost:7050", false},
		{"127.0.0.1", "tcp 127.0.0.1:7050", false},
		{"::1", "tcp [::1]:7050", false},
		{"", "tcp :7050", true},
		{"0.0.0.0", "tcp 0.0.0.0:7050", true},
		{"192.168.1.2", "tcp 192.168.1.2:7050", true},
		{"clock.local", "tcp clock.local:7050", true},
	} {
		role := kozotest.Make(t, Type(), kozo.Values{"bindAddress": test.address})
		if got := role.(kozo.Binder).Binds(); len(got) != 1 || got[0] != test.binds {
			t.Errorf("%s: binds %q, want %q", test.address, got, test.binds)
		}
		if got := role.(kozo.Warner).Warnings(); (len(got) > 0) != test.warns {
			t.Errorf("%s: warnings %v", test.address, got)
		}
	}
}

func TestPanicEndsTheConnectionOnly(t *testing.T) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	role := kozotest.RunRole(t, fragile{served{kozotest.Make(t, Type(), nil).(*injector), listener}})
	bad := dial(t, listener.Addr().String())
	bad.write("('event', 'bomb')\n")
	bad.expectEnd()
	good := dial(t, listener.Addr().String())
	good.write("('event', 'tick')\n")
	good.expect("ok event tick")
	if !strings.Contains(role.Log(), "boom") {
		t.Errorf("log: %s", role.Log())
	}
}

// fragile is the role in an Env that panics.
type fragile struct{ served }

func (f fragile) Run(ctx context.Context, env *kozo.Env) error {
	explosive := *env
	explosive.Send = func(m kozo.Message) error {
		if m.Type == "bomb" {
			panic("boom")
		}
		return env.Send(m)
	}
	return f.served.Run(ctx, &explosive)
}
