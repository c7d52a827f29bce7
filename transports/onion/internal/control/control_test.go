package control

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tor answers each line by a function, until the connection ends.
func tor(t *testing.T, answer func(line string) string) *Conn {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		for lines := bufio.NewScanner(b); lines.Scan(); {
			if _, err := b.Write([]byte(answer(lines.Text()))); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { a.Close(); <-done })
	a.SetDeadline(time.Now().Add(10 * time.Second))
	return New(a)
}

const info = "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=%s\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n"

func TestSafeCookie(t *testing.T) {
	path := filepath.Join(t.TempDir(), `a "cookie" of tor`)
	cookie := bytes.Repeat([]byte{7}, cookieLength)
	if err := os.WriteFile(path, cookie, 0o600); err != nil {
		t.Fatal(err)
	}
	theirs := bytes.Repeat([]byte{9}, 32)
	for _, honest := range []bool{true, false} {
		var ours []byte
		sum := func(key string) string {
			h := hmac.New(sha256.New, []byte(key))
			h.Write(cookie)
			h.Write(ours)
			h.Write(theirs)
			return hex.EncodeToString(h.Sum(nil))
		}
		c := tor(t, func(line string) string {
			switch command, rest, _ := strings.Cut(line, " "); command {
			case "PROTOCOLINFO":
				return fmt.Sprintf(info, "COOKIE,SAFECOOKIE COOKIEFILE="+quote(path))
			case "AUTHCHALLENGE":
				ours, _ = hex.DecodeString(strings.TrimPrefix(rest, "SAFECOOKIE "))
				hash := sum(serverKey)
				if !honest {
					hash = strings.Repeat("00", 32)
				}
				return fmt.Sprintf("250 AUTHCHALLENGE SERVERHASH=%s SERVERNONCE=%x\r\n", strings.ToUpper(hash), theirs)
			case "AUTHENTICATE":
				if rest == sum(clientKey) {
					return "250 OK\r\n"
				}
			}
			return "515 Authentication failed\r\n"
		})
		err := c.Authenticate(nil)
		if honest && err != nil || !honest && (err == nil || !strings.Contains(err.Error(), "does not know tor's cookie")) {
			t.Errorf("honest %v: %v", honest, err)
		}
	}
}

func TestOtherWaysToAuthenticate(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for methods, want := range map[string]string{
		"NULL":           "AUTHENTICATE",
		"HASHEDPASSWORD": `AUTHENTICATE "it's \"secret\\"`,
		"SAFECOOKIE,HASHEDPASSWORD COOKIEFILE=" + quote(none): `AUTHENTICATE "it's \"secret\\"`,
	} {
		var last string
		c := tor(t, func(line string) string {
			last = line
			if line == "PROTOCOLINFO 1" {
				return fmt.Sprintf(info, methods)
			}
			return "250 OK\r\n"
		})
		if err := c.Authenticate(func() (string, error) { return `it's "secret\`, nil }); err != nil || last != want {
			t.Errorf("%s: %q, %v", methods, last, err)
		}
	}
	for methods, want := range map[string]string{
		"SAFECOOKIE COOKIEFILE=" + quote(none): "debian-tor",
		"MAGIC":                                "MAGIC",
		"HASHEDPASSWORD":                       "no password",
	} {
		c := tor(t, func(string) string { return fmt.Sprintf(info, methods) })
		err := c.Authenticate(func() (string, error) { return "", errors.New("no password") })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", methods, err)
		}
	}
}

func TestBootstrap(t *testing.T) {
	for answer, want := range map[string]any{
		"250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY=\"Done\"\r\n250 OK\r\n": Progress{Percent: 100, Summary: "Done"},
		"650 CIRC 1\r\n250-status/bootstrap-phase=WARN BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY=\"Connecting \\\"x\\\"\" WARNING=\"Clock skew\" REASON=CLOCK_SKEW COUNT=1\r\n250 OK\r\n": Progress{
			Percent: 5, Summary: `Connecting "x"`, Warning: "Clock skew", Reason: "CLOCK_SKEW"},
		"250-status/bootstrap-phase=\r\n250 OK\r\n":             "how far it is",
		"250-status/bootstrap-phase=PROGRESS=200\r\n250 OK\r\n": "how far it is",
		"250 OK\r\n":                       "does not answer",
		"552 Unrecognized key\r\n":         "tor refused GETINFO: Unrecognized key (552)",
		"HTTP/1.1 400 Bad Request\r\n\r\n": "is not tor's control protocol",
		"250\r\n":                          "is not tor's control protocol",
		"250-a\r\n251 b\r\n":               "is not tor's control protocol",
		"250*a\r\n":                        "is not tor's control protocol",
		"250-" + strings.Repeat("x", maxLine) + "\r\n":                    "more than 65536 bytes",
		strings.Repeat("250-a\r\n", maxLines+1):                           "more than 4096 lines",
		"250+a\r\n" + strings.Repeat("b\r\n", maxLines):                   "more than 4096 lines",
		strings.Repeat("250-"+strings.Repeat("x", maxLine-10)+"\r\n", 40): "or 2097152 bytes",
	} {
		got, err := tor(t, func(string) string { return answer }).Bootstrap()
		switch want := want.(type) {
		case Progress:
			if err != nil || got != want {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
		case string:
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.60q: %v, want %q", answer, err, want)
			}
		}
	}
}

func TestServices(t *testing.T) {
	var last string
	c := tor(t, func(line string) string {
		last = line
		return "250-ServiceID=abc\r\n250+more\r\ntext\r\n.\r\n250 OK\r\n"
	})
	id, err := c.AddService(Service{Key: "ED25519-V3:xx", Port: 9001, Target: "127.0.0.1:5", Clients: []string{"A", "B"}})
	if want := "ADD_ONION ED25519-V3:xx Flags=DiscardPK,V3Auth Port=9001,127.0.0.1:5 ClientAuthV3=A ClientAuthV3=B"; id != "abc" || err != nil || last != want {
		t.Errorf("%q, %v, %q", id, err, last)
	}
	if _, err = c.AddService(Service{Key: "k", Port: 1, Target: "t"}); err != nil || last != "ADD_ONION k Flags=DiscardPK Port=1,t" {
		t.Errorf("%v, %q", err, last)
	}
	if err := c.AddClientKey("abc", "secret"); err != nil || last != "ONION_CLIENT_AUTH_ADD abc x25519:secret" {
		t.Errorf("%v, %q", err, last)
	}
	if err := c.AddClientKey("abc\r\nQUIT", "x"); err == nil {
		t.Error("a second command was smuggled in")
	}
	if _, err := tor(t, func(string) string { return "250 OK\r\n" }).AddService(Service{}); err == nil {
		t.Error("a service without a name was added")
	}
}

// Only the paths to the service itself are closed, and one that has ended
// meanwhile is no error.
func TestHangUp(t *testing.T) {
	text := []string{
		"3 BUILT $AA~a,$BB~b BUILD_FLAGS=IS_INTERNAL PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_JOINED REND_QUERY=abc TIME_CREATED=x",
		"4 BUILT $AA~a PURPOSE=HS_SERVICE_INTRO REND_QUERY=abc",
		"5 BUILT $AA~a PURPOSE=HS_SERVICE_REND REND_QUERY=other",
		"6 LAUNCHED PURPOSE=HS_SERVICE_REND REND_QUERY=abc",
		"7 LAUNCHED",
	}
	for answer, want := range map[string][]string{
		"250+circuit-status=\r\n" + strings.Join(text, "\r\n") + "\r\n.\r\n250 OK\r\n": {"CLOSECIRCUIT 3", "CLOSECIRCUIT 6"},
		"250-circuit-status=" + text[0] + "\r\n250 OK\r\n":                             {"CLOSECIRCUIT 3"},
		"250-circuit-status=\r\n250 OK\r\n":                                            nil,
	} {
		var closed []string
		c := tor(t, func(line string) string {
			if line == "GETINFO circuit-status" {
				return answer
			}
			if closed = append(closed, line); line == "CLOSECIRCUIT 3" {
				return "552 Unknown circuit \"3\"\r\n"
			}
			return "250 OK\r\n"
		})
		if err := c.HangUp("abc"); err != nil || !reflect.DeepEqual(closed, want) {
			t.Errorf("%q: %v, %v", answer, closed, err)
		}
	}
}

// What a Tor refuses because of its age is said so; other refusals are not.
func TestOldTor(t *testing.T) {
	for _, row := range []struct {
		version string
		clients []string
		add     string // what the error about a service says
		key     string // and that about a key
	}{
		{"0.4.5.16", []string{"A"}, "tor is too old for that: it is 0.4.5.16, and 0.4.6 is the first", "tor refused ONION_CLIENT_AUTH_ADD"},
		{"0.4.5.16", nil, "tor refused ADD_ONION", "tor refused ONION_CLIENT_AUTH_ADD"},
		{"0.3.2.1-alpha", nil, "0.3.3 is the first", "it is 0.3.2.1-alpha, and 0.4.3 is the first"},
		{"0.4.9.11", []string{"A"}, "tor refused ADD_ONION", "tor refused ONION_CLIENT_AUTH_ADD"},
		{"", []string{"A"}, "tor refused ADD_ONION", "tor refused ONION_CLIENT_AUTH_ADD"},
		{"1", []string{"A"}, "tor refused ADD_ONION", "tor refused ONION_CLIENT_AUTH_ADD"},
	} {
		c := tor(t, func(line string) string {
			switch {
			case line == "PROTOCOLINFO 1":
				return "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor=\"" + row.version + "\"\r\n250 OK\r\n"
			case line == "AUTHENTICATE":
				return "250 OK\r\n"
			}
			return "512 Invalid argument\r\n"
		})
		if err := c.Authenticate(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.AddService(Service{Key: "k", Port: 1, Target: "t", Clients: row.clients}); err == nil || !strings.Contains(err.Error(), row.add) {
			t.Errorf("%s: %v, want %q", row.version, err, row.add)
		}
		if err := c.AddClientKey("abc", "secret"); err == nil || !strings.HasPrefix(err.Error(), "tor ") || !strings.Contains(err.Error(), row.key) {
			t.Errorf("%s: %v, want %q", row.version, err, row.key)
		}
	}
}

func TestFields(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`A=b  WORD C="d e" F=`:       {"A": "b", "C": "d e", "F": ""},
		`A="\"\\\n\101\0x" B=c`:      {"A": "\"\\\nA\x00x", "B": "c"},
		`A="open`:                    {"A": "open"},
		`A="\`:                       {"A": `\`},
		`A="\777" B="\9"`:            {"A": "777", "B": "9"},
		``:                           {},
		`=x`:                         {"": "x"},
		`COOKIEFILE="/a b/\303\266"`: {"COOKIEFILE": "/a b/ö"},
	} {
		if got := fields(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 OK\r\n", "250-a=b\r\n250 OK\r\n", "250+x\r\ny\r\n.\r\n250 OK\r\n", "650 X\r\n", "\n", "250-A=\"\\1", "9"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReader(bytes.NewReader(data))
		for {
			r, err := readReply(in)
			if err != nil {
				return
			}
			if r.code < 100 || r.code > 999 || len(r.lines) == 0 || len(r.lines) > maxLines {
				t.Fatalf("%+v", r)
			}
			for _, l := range r.lines {
				for k, v := range fields(l) {
					if len(k)+len(v) > len(l) {
						t.Fatalf("%q has grown to %q=%q", l, k, v)
					}
				}
			}
		}
	})
}

// What is quoted for Tor is read back as it was.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", `a "b" \c`, "x\r\ny", "ö"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := quote(s)
		if strings.ContainsAny(q, "\r\n") {
			t.Fatalf("%q has more than one line", q)
		}
		if got := fields("K=" + q)["K"]; got != s {
			t.Fatalf("%q becomes %q", s, got)
		}
	})
}
