package secure

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"kozo"
)

func TestStrangersAreNotLetIn(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe", "owl")
		stranger := newTestKey(t)
		for _, c := range []struct {
			what, name string
			key        *Key
			reason     string
		}{
			{"an unknown name and key", "thief", stranger, "no node of the system has this name"},
			{"an unknown name with a known key", "thief", s.keys["owl"], "its key is that of owl"},
			{"a known name with an unknown key", "owl", stranger, "its key is not that of owl"},
			{"a known name with the key of another", "owl", s.keys["clock"], "its key is that of clock"},
			{"the name and the key of the server itself", "scribe", s.keys["scribe"], "it has the name of this node itself"},
			{"an empty name", "", stranger, "no node of the system has this name"},
			{"a name that is no name", "\x1b[31m" + strings.Repeat("x", 100), stranger, "no node of the system has this name"},
		} {
			config := s.config("clock")
			config.Self, config.Key = kozo.NodeName(c.name), c.key
			err, serverErr := refused(t, net, "scribe", config, s.config("scribe"))
			says(t, "client", err, "does not let")
			who, ok := errors.AsType[*Stranger](serverErr)
			if !ok {
				t.Errorf("%s: the error is %v, not a Stranger", c.what, serverErr)
				continue
			}
			if who.Reason != c.reason || who.Key != c.key.Public() || who.Address == "" {
				t.Errorf("%s: %+v", c.what, who)
			}
			if len(who.Name) > kozo.MaxName || strings.Contains(who.Error(), "\x1b") || who.Name != c.name && len(c.name) < kozo.MaxName {
				t.Errorf("%s: the name is %q", c.what, who.Name)
			}
		}
	})
}

type liar struct {
	ssh.Signer
	shows ssh.PublicKey
}

func (l liar) PublicKey() ssh.PublicKey { return l.shows }

func TestOnlyTheProvenKeyCounts(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe", "owl")
		owl, clock := s.keys["owl"].signer, s.keys["clock"].signer
		for what, signers := range map[string][]ssh.Signer{
			"signs with another key":             {liar{owl, clock.PublicKey()}},
			"offers one, proves another":         {liar{owl, clock.PublicKey()}, owl},
			"proves another first":               {owl, liar{owl, clock.PublicKey()}},
			"offers the right one after another": {owl, clock},
		} {
			a, b := net(t)
			out := serve(t, b, s.config("scribe"))
			_, _, _, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{
				User: "clock", Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			})
			a.Close()
			if o := <-out; err == nil || o.err == nil {
				t.Errorf("%s: let in as %s", what, o.conn.Peer())
			} else if _, ok := errors.AsType[*Stranger](o.err); !ok {
				t.Errorf("%s: %v is no Stranger", what, o.err)
			}
		}
	})
}

// A node whose connection breaks before it has signed is no stranger.
func TestBrokenHandshakeOfANodeIsNoStranger(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		a, b := net(t)
		out := serve(t, b, s.config("scribe"))
		signer := liar{breaks{s.keys["clock"].signer, a}, s.keys["clock"].signer.PublicKey()}
		ssh.NewClientConn(a, "", &ssh.ClientConfig{
			User: "clock", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		o := <-out
		if _, ok := errors.AsType[*Stranger](o.err); ok || o.err == nil {
			t.Errorf("the server says %v", o.err)
		}
	})
}

// breaks closes the connection when it should sign.
type breaks struct {
	ssh.Signer
	conn net.Conn
}

func (b breaks) Sign(io.Reader, []byte) (*ssh.Signature, error) {
	b.conn.Close()
	return nil, net.ErrClosed
}

func TestOtherWaysToAuthenticateAreRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		for what, auth := range map[string][]ssh.AuthMethod{
			"none":     {},
			"password": {ssh.Password("")},
			"questions": {ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) {
				return nil, nil
			})},
		} {
			a, b := net(t)
			out := serve(t, b, s.config("scribe"))
			_, _, _, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{
				User: "clock", Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			})
			a.Close()
			if o := <-out; err == nil || o.err == nil {
				t.Errorf("%s: let in", what)
			}
		}
	})
}

func TestFloodBeforeAuthenticationLeavesNothing(t *testing.T) {
	garbage := slices.Repeat([][]byte{{99, 1}}, 200)
	s := newSystem(t, "clock", "scribe")
	service := serviceRequest("ssh-userauth")
	for name, packets := range map[string][][]byte{
		"garbage at once":        garbage,
		"garbage after some":     append([][]byte{service}, garbage...),
		"unknown service":        append([][]byte{serviceRequest("ssh-shell")}, garbage...),
		"garbage after an offer": append([][]byte{service, publicKeyOffer("scribe", s.keys["scribe"].Public(), nil)}, garbage...),
		"false proof":            append([][]byte{service, publicKeyOffer("scribe", s.keys["scribe"].Public(), []byte("no"))}, garbage...),
		"offers":                 append([][]byte{service}, slices.Repeat([][]byte{publicKeyOffer("scribe", s.keys["scribe"].Public(), nil)}, 200)...),
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, net network) {
				a, b := net(t)
				defer a.Close()
				out := serve(t, b, s.config("clock"))
				h := newHostile(t, a)
				a.Write(bytes.Join([][]byte{h.newKeys(), h.sealed(packets...)}, nil))
				if o := <-out; o.err == nil {
					t.Fatal("somebody who proved nothing was let in")
				}
			})
		})
	}
}

func TestGateFindsTheQueue(t *testing.T) {
	inMemory(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		a, b := connect(t, net, s.config("clock"), s.config("scribe"))
		for who, c := range map[string]*end{"client": a, "server": b} {
			if c.raw.gate.queued == nil || !c.raw.gate.keyed {
				t.Errorf("the gate of the %s did not find what it looks for", who)
			}
		}
		if total := max(a.raw.gate.total, b.raw.gate.total); total > maxHandshake/8 {
			t.Errorf("a handshake takes %d bytes, too many for a limit of %d", total, maxHandshake)
		}
	})
}

func TestHandshakeOutlivesNobody(t *testing.T) {
	line := strings.Repeat("x", 200) + "\n"
	for name, c := range map[string]struct {
		do   func(net.Conn)
		says string
	}{
		"silence":           {func(net.Conn) {}, "not done after 10s"},
		"closes":            {func(c net.Conn) { c.Close() }, ""},
		"random bytes":      {func(c net.Conn) { c.Write(bytes.Repeat([]byte("\x00\xff\x17"), 1000)) }, "does not speak SSH"},
		"version lines":     {func(c net.Conn) { io.Copy(c, strings.NewReader(strings.Repeat(line, 1000))) }, "more than 65536 bytes"},
		"endless line":      {func(c net.Conn) { io.Copy(c, strings.NewReader(strings.Repeat("x", 1<<20))) }, "does not speak SSH"},
		"HTTP":              {func(c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\n\r\n") }, "not done after"},
		"huge packet":       {func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n\xff\xff\xff\xff\x05\x14garbage") }, "packet too large"},
		"large packets":     {func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n"); flood(c) }, ""},
		"only the version":  {func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n") }, "not done after 10s"},
		"slow loris":        {func(c net.Conn) { trickle(c, "SSH-2.0-"+strings.Repeat("x", 100)) }, "not done after 10s"},
		"closes in between": {func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n"); c.Close() }, ""},
	} {
		for _, side := range []string{"client", "server"} {
			t.Run(name+"/"+side, func(t *testing.T) {
				inMemory(t, func(t *testing.T, net network) {
					s := newSystem(t, "clock", "scribe")
					a, b := net(t)
					defer a.Close()
					go io.Copy(io.Discard, a)
					go c.do(a)
					start := time.Now()
					var err error
					if side == "server" {
						_, err = Server(t.Context(), b, s.config("scribe"))
					} else {
						_, err = Client(t.Context(), b, "scribe", s.config("clock"))
					}
					if took := time.Since(start); took > 10*time.Second {
						t.Errorf("the handshake took %v", took)
					}
					says(t, side, err, c.says)
					if strings.Contains(err.Error(), "\n") {
						t.Errorf("the error is not one line: %q", err)
					}
				})
			})
		}
	}
}

func trickle(c net.Conn, text string) {
	for i := range len(text) {
		time.Sleep(time.Second)
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return
		}
	}
}

func flood(c net.Conn) {
	ignore := clearPacket(append([]byte{2}, make([]byte, 1000)...))
	for {
		if _, err := c.Write(ignore); err != nil {
			return
		}
	}
}

func TestGarbageOverSockets(t *testing.T) {
	s := newSystem(t, "clock", "scribe")
	for i := range 20 {
		a, b := sockets(t)
		out := serve(t, b, s.config("scribe"))
		a.Write(bytes.Repeat([]byte{byte(i * 13)}, 1000*i))
		a.Close()
		if o := <-out; o.err == nil {
			t.Error("garbage was let in")
		}
	}
}

func TestSignaturesWithSHA1AreRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		k := testKey(t, "rsa")
		s.keys["clock"], s.keys["scribe"] = k, k
		plain, err := ssh.NewSignerFromKey(k.raw)
		if err != nil {
			t.Fatal(err)
		}
		old, err := ssh.NewSignerWithAlgorithms(plain.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
		if err != nil {
			t.Fatal(err)
		}
		for what, config := range map[string]*ssh.ClientConfig{
			"of the client": {Auth: []ssh.AuthMethod{ssh.PublicKeys(old)}},
			"of the server": {Auth: []ssh.AuthMethod{ssh.PublicKeys(plain)}, HostKeyAlgorithms: []string{ssh.KeyAlgoRSA}},
		} {
			config.User, config.HostKeyCallback = "clock", ssh.InsecureIgnoreHostKey()
			a, b := net(t)
			out := serve(t, b, s.config("scribe"))
			_, _, _, err := ssh.NewClientConn(a, "", config)
			a.Close()
			if o := <-out; err == nil || o.err == nil {
				t.Errorf("a signature %s was taken", what)
			}
		}
	})
}

func FuzzServerHandshake(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(append([]byte("SSH-2.0-x\r\n"), clearPacket([]byte{20})...))
	f.Add(append([]byte("SSH-2.0-x\r\n"), clearPacket(append([]byte{20}, make([]byte, 16+40+5)...))...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		inMemory(t, func(t *testing.T, net network) {
			s := newSystem(t, "clock", "scribe")
			a, b := net(t)
			out := serve(t, b, s.config("scribe"))
			go io.Copy(io.Discard, a)
			go func() {
				a.Write(sent)
				time.Sleep(20 * time.Second)
				a.Close()
			}()
			if o := <-out; o.err == nil {
				t.Error("let in")
			}
			time.Sleep(30 * time.Second)
		})
	})
}
