// Package control speaks to Tor's control port: it proves that it may, asks how
// far Tor is, and adds onion services and keys (control-spec.txt of Tor). What
// Tor answers is taken with bounds, since something else may listen there.
package control

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Conn is a connection to a control port. It is for one goroutine at a time,
// apart from Close.
type Conn struct {
	net.Conn
	in      *bufio.Reader
	version string // of Tor, as it says itself; empty before Authenticate
}

// New makes a Conn of a connection. The caller sets deadlines.
func New(c net.Conn) *Conn { return &Conn{Conn: c, in: bufio.NewReader(c)} }

// Error is an answer of Tor that is not the one that was wanted.
type Error struct {
	Command string // its first word
	Code    int
	Text    string
}

// Error says what was asked for and what Tor answered.
func (e *Error) Error() string {
	return fmt.Sprintf("tor refused %s: %s (%d)", e.Command, e.Text, e.Code)
}

// command sends a line and returns the lines of the answer.
func (c *Conn) command(line string) ([]string, error) {
	name, _, _ := strings.Cut(line, " ")
	if strings.ContainsAny(line, "\r\n") {
		return nil, fmt.Errorf("a command to tor has one line, and %s has more", name)
	}
	if _, err := io.WriteString(c.Conn, line+"\r\n"); err != nil {
		return nil, err
	}
	for {
		r, err := readReply(c.in)
		switch {
		case err != nil:
			return nil, err
		case r.code == eventCode: // of an earlier interest
		case r.code/100 != 2:
			return nil, &Error{name, r.code, r.lines[len(r.lines)-1]}
		default:
			return r.lines, nil
		}
	}
}

// Authenticate proves that this program may control Tor: by the cookie that Tor
// keeps in a file, which shows that it can read this file, or by a password,
// which is asked for if Tor wants one.
func (c *Conn) Authenticate(password func() (string, error)) error {
	lines, err := c.command("PROTOCOLINFO 1")
	if err != nil {
		return err
	}
	var methods []string
	var cookieFile string
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "AUTH "); ok {
			f := fields(rest)
			methods, cookieFile = strings.Split(f["METHODS"], ","), f["COOKIEFILE"]
		}
		if rest, ok := strings.CutPrefix(line, "VERSION "); ok {
			c.version = fields(rest)["Tor"]
		}
	}
	has := map[string]bool{}
	for _, m := range methods {
		has[m] = true
	}
	var failed error
	switch {
	case has["NULL"]:
		_, err := c.command("AUTHENTICATE")
		return err
	case has["SAFECOOKIE"]:
		if failed = c.safeCookie(cookieFile); failed == nil {
			return nil
		}
	}
	if has["HASHEDPASSWORD"] {
		text, err := password()
		if err != nil {
			return errors.Join(failed, err)
		}
		_, err = c.command("AUTHENTICATE " + quote(text))
		if _, refused := errors.AsType[*Error](err); refused {
			err = errors.New("tor does not take the password; correct it in the file of controlPasswordFile, or HashedControlPassword in torrc")
		}
		return err
	}
	if failed == nil {
		failed = fmt.Errorf("tor's control port wants %s, which are not known here; set CookieAuthentication 1 in torrc", strings.Join(methods, ", "))
	}
	return failed
}

const (
	cookieLength = 32
	serverKey    = "Tor safe cookie authentication server-to-controller hash"
	clientKey    = "Tor safe cookie authentication controller-to-server hash"
)

// safeCookie shows that the cookie is known without showing it, and makes Tor do
// the same: whoever else listens there learns nothing.
func (c *Conn) safeCookie(path string) error {
	cookie, err := readCookie(path)
	if err != nil {
		return err
	}
	ours := make([]byte, 32)
	_, _ = rand.Read(ours) // never fails
	lines, err := c.command("AUTHCHALLENGE SAFECOOKIE " + hex.EncodeToString(ours))
	if err != nil {
		return err
	}
	rest, ok := strings.CutPrefix(lines[0], "AUTHCHALLENGE ")
	f := fields(rest)
	hash, err1 := hex.DecodeString(f["SERVERHASH"])
	theirs, err2 := hex.DecodeString(f["SERVERNONCE"])
	if !ok || err1 != nil || err2 != nil {
		return errors.New("tor's answer to the challenge makes no sense")
	}
	sum := func(key string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write(cookie)
		h.Write(ours)
		h.Write(theirs)
		return h.Sum(nil)
	}
	if subtle.ConstantTimeCompare(sum(serverKey), hash) != 1 {
		return errors.New("what listens at the control port does not know tor's cookie: it is another tor, or another program")
	}
	_, err = c.command("AUTHENTICATE " + hex.EncodeToString(sum(clientKey)))
	return err
}

func readCookie(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the cookie of tor's control port cannot be read (%w); add the user of kozo to the group of tor, which is debian-tor on Debian, and set CookieAuthFileGroupReadable 1 in torrc", err)
	}
	defer f.Close()
	cookie, err := io.ReadAll(io.LimitReader(f, cookieLength+1))
	if err == nil && len(cookie) != cookieLength {
		err = fmt.Errorf("%s is not a cookie of tor: it has not %d bytes", path, cookieLength)
	}
	return cookie, err
}

// Progress is how far Tor is on its way into its network.
type Progress struct {
	Percent int
	Summary string // what it is doing
	Warning string // what is in its way, or nothing
	Reason  string // of the warning, a word of Tor's such as CLOCK_SKEW
}

// Bootstrap asks Tor how far it is.
func (c *Conn) Bootstrap() (Progress, error) {
	text, err := c.info("status/bootstrap-phase")
	if err != nil {
		return Progress{}, err
	}
	f := fields(text)
	percent, err := strconv.Atoi(f["PROGRESS"])
	if err != nil || percent < 0 || percent > 100 {
		return Progress{}, fmt.Errorf("tor does not say how far it is: %.100q", text)
	}
	return Progress{Percent: percent, Summary: f["SUMMARY"], Warning: f["WARNING"], Reason: f["REASON"]}, nil
}

// info asks for one value, which has one line.
func (c *Conn) info(key string) (string, error) {
	lines, err := c.command("GETINFO " + key)
	if err != nil {
		return "", err
	}
	value, ok := strings.CutPrefix(lines[0], key+"=")
	if !ok {
		return "", fmt.Errorf("tor does not answer the question for %s: %.100q", key, lines[0])
	}
	return value, nil
}

// Service is an onion service to add.
type Service struct {
	Key     string   // as Tor writes it: ED25519-V3:BASE64
	Port    int      // that others dial
	Target  string   // HOST:PORT to which Tor leads them
	Clients []string // if not nil, the public keys, in base32, of those who can find it; others cannot
}

// AddService adds an onion service. It is there as long as the connection is.
// The result is its name without .onion.
func (c *Conn) AddService(s Service) (string, error) {
	line := fmt.Sprintf("ADD_ONION %s Flags=DiscardPK", s.Key)
	if s.Clients != nil {
		line += ",V3Auth"
	}
	line += fmt.Sprintf(" Port=%d,%s", s.Port, s.Target)
	for _, key := range s.Clients {
		line += " ClientAuthV3=" + key
	}
	lines, err := c.command(line)
	if e, refused := errors.AsType[*Error](err); refused && strings.Contains(e.Text, "collision") {
		return "", errors.New("this tor has the onion service already: the node runs twice, or another one has a copy of its key")
	}
	if err != nil {
		needs := [3]int{0, 3, 3}
		if s.Clients != nil {
			needs = [3]int{0, 4, 6}
		}
		return "", c.tooOld(err, needs)
	}
	for _, l := range lines {
		if id, ok := strings.CutPrefix(l, "ServiceID="); ok {
			return id, nil
		}
	}
	return "", errors.New("tor does not say which service it has added")
}

// HangUp closes the paths on which others have come to a service, named without
// .onion. Tor leaves them when a service is taken away, and they lead to it again
// when it is there again, whoever may find it then.
func (c *Conn) HangUp(service string) error {
	lines, err := c.command("GETINFO circuit-status")
	if err != nil {
		return err
	}
	for _, line := range lines {
		line = strings.TrimPrefix(line, "circuit-status=")
		id, rest, _ := strings.Cut(line, " ")
		if f := fields(rest); f["PURPOSE"] != "HS_SERVICE_REND" || f["REND_QUERY"] != service {
			continue
		}
		_, err := c.command("CLOSECIRCUIT " + id)
		if _, gone := errors.AsType[*Error](err); err != nil && !gone {
			return err
		}
	}
	return nil
}

// AddClientKey gives Tor the private key, in base64, with which it can find a
// service, named without .onion. Tor forgets it when it ends.
func (c *Conn) AddClientKey(service, key string) error {
	_, err := c.command("ONION_CLIENT_AUTH_ADD " + service + " x25519:" + key)
	return c.tooOld(err, [3]int{0, 4, 3})
}

// tooOld puts the version of Tor in the place of a refusal, if that is why.
func (c *Conn) tooOld(err error, needs [3]int) error {
	var has [3]int
	_, scanErr := fmt.Sscanf(c.version, "%d.%d.%d", &has[0], &has[1], &has[2])
	if _, refused := errors.AsType[*Error](err); !refused || scanErr != nil || slices.Compare(has[:], needs[:]) >= 0 {
		return err
	}
	return fmt.Errorf("tor is too old for that: it is %.40s, and %d.%d.%d is the first that can do it; upgrade it (%w)",
		c.version, needs[0], needs[1], needs[2], err)
}

// Wait returns when the connection ends, and why.
func (c *Conn) Wait() error {
	_, err := io.Copy(io.Discard, c.in)
	return err
}
