package node_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"kozo"
	"kozo/kozotest"
	"kozo/transports/tcp"
)

// over makes a transport that brings its own encryption of the one over TCP.
func over(name string, secure func(ctx context.Context, env *kozo.TransportEnv, o kozo.Values, c net.Conn, remote *kozo.Remote) (net.Conn, kozo.NodeName, error), own ...kozo.Option) kozo.TransportType {
	typ := tcp.Type()
	typ.Name, typ.Options = name, append(own, typ.Options...)
	under := typ.New
	typ.New = func(v kozo.Values) (kozo.Transport, error) {
		t, err := under(v)
		return &secured{Transport: t, values: v, secure: secure}, err
	}
	return typ
}

type secured struct {
	kozo.Transport
	values kozo.Values
	secure func(context.Context, *kozo.TransportEnv, kozo.Values, net.Conn, *kozo.Remote) (net.Conn, kozo.NodeName, error)
}

func (s *secured) Secure(ctx context.Context, env *kozo.TransportEnv, c net.Conn, remote *kozo.Remote) (net.Conn, kozo.NodeName, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	conn, name, err := s.secure(ctx, env, s.values, c, remote)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
	}
	return conn, name, err
}

// claimingType believes everybody who says a name: it is for lies.
func claimingType() kozo.TransportType {
	return over("claiming", func(_ context.Context, env *kozo.TransportEnv, v kozo.Values, c net.Conn, _ *kozo.Remote) (net.Conn, kozo.NodeName, error) {
		claim := string(env.Node)
		if lie := v["claim"].(string); lie != "" {
			claim = lie
		}
		if _, err := fmt.Fprintf(c, "%s\n", claim); err != nil {
			return nil, "", err
		}
		r := bufio.NewReader(c)
		name, err := r.ReadString('\n')
		return &readConn{c, r}, kozo.NodeName(strings.TrimSpace(name)), err
	}, kozo.Option{Name: "claim", Type: kozo.TypeString})
}

type readConn struct {
	net.Conn
	r io.Reader
}

func (c *readConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// pinnedType is TLS in which each side shows a certificate with the key that the
// configuration has for it. The private keys follow from the names, which is
// enough for a test.
func pinnedType() kozo.TransportType {
	return over("pinned", func(ctx context.Context, env *kozo.TransportEnv, _ kozo.Values, c net.Conn, remote *kozo.Remote) (net.Conn, kozo.NodeName, error) {
		var proven kozo.NodeName
		config := &tls.Config{
			MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
			Certificates: []tls.Certificate{certificate(string(env.Node))}, InsecureSkipVerify: true,
			VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
				cert, err := x509.ParseCertificate(raw[0])
				if err != nil {
					return err
				}
				shown := pinOf(cert.PublicKey.(ed25519.PublicKey))
				for _, p := range env.Peers {
					if p.Values["pin"] == shown && (remote == nil || remote.Node == p.Node) {
						proven = p.Node
						return nil
					}
				}
				return errors.New("nobody has this key")
			},
		}
		conn := tls.Server(c, config)
		if remote != nil {
			conn = tls.Client(c, config)
		}
		err := conn.HandshakeContext(ctx)
		return conn, proven, err
	}, kozo.Option{Name: "pin", Type: kozo.TypeString, Required: true})
}

func tlsKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func pinOf(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }

func pin(name string) string {
	return ", pin: " + pinOf(tlsKey(name).Public().(ed25519.PublicKey))
}

func certificate(name string) tls.Certificate {
	key := tlsKey(name)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func pinnedPair() []spec {
	return []spec{{name: "a", typ: "pinned", more: pin("a")}, {name: "b", typ: "pinned", more: pin("b")}}
}

// TestOwnSecurity is about links whose transport encrypts by itself: they are
// links like any other, through cuts and restarts, with an account that adds up.
func TestOwnSecurity(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		w := newWorld(t, p, quick, pinnedPair()...)
		from := func(sender, receiver string) (n int) {
			for _, m := range w.received(receiver) {
				if m.From == ref("source", sender) {
					n++
				}
			}
			return n
		}
		w.allUp()
		for i := range 100 {
			w.send("a", "x", i)
			w.send("b", "y", strings.Repeat("z", 10_000))
		}
		w.until("the messages", func() bool { return from("a", "b") == 100 && from("b", "a") == 100 })
		connects := w.link("a", "b").Connects
		w.place.cut("a", "b")
		w.until("another connection", func() bool { return w.link("a", "b").Connects > connects && w.up("a", "b") && w.up("b", "a") })
		w.send("a", "x", "after the cut")
		w.until("a message after the cut", func() bool { return from("a", "b") == 101 })
		w.stop("b")
		w.start("b")
		w.allUp()
		w.send("a", "x", "after the restart")
		w.until("a message after the restart", func() bool { return from("a", "b") == 102 })
		for _, ends := range [][2]string{{"a", "b"}, {"b", "a"}} {
			w.until("the account to be settled", func() bool { return w.link(ends[0], ends[1]).Out.InFlight == 0 })
			if l := w.link(ends[0], ends[1]); !l.Out.Balanced() || !l.In.Balanced() || l.Rides {
				t.Errorf("link %s→%s: %+v", ends[0], ends[1], l)
			}
		}
	})
}

// A link that nobody reads from or writes to any more is noticed by heartbeats.
func TestOwnSecurityWithABlackHole(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 1\nconnectionRetry: 5", pinnedPair()...)
		w.allUp()
		connects := w.link("a", "b").Connects
		for _, c := range m.between("a", "b") {
			c.BlackHole()
			c.Other().BlackHole()
		}
		w.within(4*time.Second, "both links to come back", func() bool {
			return w.link("a", "b").Connects > connects && w.up("a", "b") && w.up("b", "a")
		})
	})
}

// A new connection of the same node takes the place of one that is dead on one
// side only.
func TestOwnSecurityIsReplaced(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 60\nconnectionRetry: 5", pinnedPair()...)
		w.allUp()
		for _, c := range m.between("a", "b") {
			c.Freeze(true)
			c.Other().BlackHole()
		}
		w.stop("a")
		w.start("a")
		w.within(5*time.Second, "the link of a", func() bool { return w.up("a", "b") })
	})
}

// Whoever has another key than the file says is let in by neither side.
func TestOwnSecurityWithAnotherKey(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		w := newWorld(t, p, quick, spec{name: "a", typ: "pinned", more: pin("a")}, spec{name: "b", typ: "pinned", more: pin("c")})
		w.until("a to say why", func() bool { return strings.Contains(w.link("a", "b").Reason, "nobody has this key") })
		w.until("b to say why", func() bool { return w.link("b", "a").Reason != "" })
		if w.up("a", "b") || w.up("b", "a") || w.link("a", "b").In.Connected || w.link("b", "a").In.Connected {
			t.Error("somebody was let in")
		}
	})
}

// A transport says who is at the other end, and can be wrong about it.
func TestLiesAboutThePeer(t *testing.T) {
	for name, test := range map[string]struct{ claim, dialling, accepting string }{
		"unknown":   {"nobody", `the node that answered at this address is "nobody", not b`, "no node of the system has this name"},
		"own name":  {"a", `the node that answered at this address is "a", not b`, "it has the name of this node itself"},
		"nonsense":  {`"\x1b[2J`, `the node that answered`, "no node of the system has this name"},
		"other one": {"c", `the node that answered at this address is "c", not b`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, m *memory) {
				w := newWorld(t, m, quick,
					spec{name: "a", typ: "claiming"}, spec{name: "b", typ: "claiming", more: fmt.Sprintf(", claim: '%s'", test.claim)},
					spec{name: "c", typ: "claiming"})
				w.until("a to say why", func() bool { return strings.Contains(w.link("a", "b").Reason, test.dialling) })
				if test.accepting == "" {
					return // it passes for c: what a transport vouches for is believed
				}
				w.until("a to name the stranger", func() bool {
					s := w.node("a").Status().Strangers
					return len(s) > 0 && strings.Contains(s[0].Reason, test.accepting) && s[0].Key == ""
				})
				if w.up("a", "b") || w.link("a", "b").In.Connected {
					t.Error("the liar was let in")
				}
				w.until("the honest ones", func() bool { return w.up("a", "c") && w.up("c", "a") })
			})
		})
	}
}

// The policy is kept by the accepting side here, too.
func TestOwnSecurityKeepsThePolicy(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		specs := pinnedPair()
		w := newWorld(t, m, quick, specs...)
		w.allUp()
		w.stop("b")
		// b alone has heard that a may not send to it.
		specs[1].options = map[string]string{"othersToSelfConnectPolicy": "never"}
		ours := w.sys
		w.sys = w.parse(quick, specs)
		w.start("b")
		w.sys = ours
		w.until("the refusal", func() bool { return strings.Contains(w.link("a", "b").Reason, "othersToSelfConnectPolicy") })
		w.until("the other direction", func() bool { return w.up("b", "a") })
	})
}

// Such a connection carries one direction: who cannot be dialled hears nothing,
// and the configuration alone says so.
func TestOwnSecurityDoesNotCarryTheOtherLink(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		specs := pinnedPair()
		specs[1].mute = true
		w := newWorld(t, m, quick, specs...)
		w.until("the link of b", func() bool { return w.up("b", "a") })
		if l := w.link("a", "b"); l.State != "off" || !strings.Contains(l.Reason, "brings its own encryption") {
			t.Errorf("the link of a is %s: %s", l.State, l.Reason)
		}
		w.send("b", "x", 1)
		w.until("a message", func() bool { return len(w.received("a")) == 1 })
	})
}

// What needs its own encryption on both sides is not connected to what does not.
func TestOwnSecurityOnBothSides(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, quick)
		sys := w.parse(quick, []spec{{name: "a", typ: "pinned", more: pin("a")}, {name: "b"}})
		for _, e := range sys.Edges() {
			if len(e.Targets) > 0 || e.Never == "" {
				t.Errorf("%s→%s: %+v", e.From.Name, e.To.Name, e)
			}
		}
	})
}

// The transport of these tests is one that a node can use.
func TestOwnSecurityConforms(t *testing.T) {
	values := func(name string) kozo.Values {
		return kozo.Values{"pin": pinOf(tlsKey(name).Public().(ed25519.PublicKey)), "address": kozo.List{name}}
	}
	kozotest.TestTransport(t, kozotest.TransportTest{
		Type: pinnedType(), InMemory: true, Options: values("listener"), Dialer: values("dialler"),
	})
}
