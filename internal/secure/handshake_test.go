package secure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"kozo"
)

func TestBothSidesKnowEachOther(t *testing.T) {
	var keys []*Key
	for _, name := range []string{"ed25519", "ecdsa256", "rsa", "ecdsa384", "ecdsa521"} {
		keys = append(keys, testKey(t, name))
	}
	everywhere(t, func(t *testing.T, net network) {
		for i, client := range keys {
			server := keys[(i+1)%len(keys)]
			s := newSystem(t, "clock", "scribe")
			s.keys["clock"], s.keys["scribe"] = client, server
			c, d := connect(t, net, s.config("clock"), s.config("scribe"))
			if c.Peer() != "scribe" || d.Peer() != "clock" {
				t.Errorf("%v to %v: the peers are %s and %s", client, server, c.Peer(), d.Peer())
			}
			if algorithm := algorithms(c).HostKey; server.Public().Type() == ssh.KeyAlgoRSA && algorithm != ssh.KeyAlgoRSASHA512 {
				t.Errorf("an RSA key signed with %s", algorithm)
			}
			c.Close(nil)
			within(t, "the end at the server", d.Done())
		}
	})
}

func algorithms(c *end) ssh.NegotiatedAlgorithms {
	return c.ssh.(ssh.AlgorithmsConnMetadata).Algorithms()
}

func TestEveryCipherAndMACCarriesBytes(t *testing.T) {
	inMemory(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		for _, cipher := range ssh.SupportedAlgorithms().Ciphers {
			for _, mac := range ssh.SupportedAlgorithms().MACs {
				client, server := s.config("clock"), s.config("scribe")
				client.Ciphers, client.MACs = []string{cipher}, []string{mac}
				a, b := connect(t, net, client, server)
				used := algorithms(a)
				if used.Write.Cipher != cipher || used.Write.MAC != mac && used.Write.MAC != "" {
					t.Errorf("%s and %s were wanted, %v is used", cipher, mac, used.Write)
				}
				from, to := streams(t, a, b)
				for _, size := range []int{1, 15, 16, 4096, 32 << 10, 100_000} {
					out := bytes.Repeat([]byte{byte(size)}, size)
					if _, err := from.Write(out); err != nil {
						t.Fatal(err)
					}
					in := make([]byte, size)
					if _, err := io.ReadFull(to, in); err != nil || !bytes.Equal(in, out) {
						t.Fatalf("%s, %s: %d bytes did not arrive: %v", cipher, mac, size, err)
					}
				}
				a.Close(nil)
			}
		}
	})
}

func TestNothingInCommonIsSaid(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		client, server := s.config("clock"), s.config("scribe")
		client.Ciphers, server.Ciphers = []string{"aes128-ctr"}, []string{"aes256-ctr"}
		a, b := net(t)
		out := serve(t, b, server)
		_, err := Client(t.Context(), a, "scribe", client)
		for who, err := range map[string]error{"client": err, "server": (<-out).err} {
			if err == nil || !strings.Contains(err.Error(), "cipher in common") || !strings.Contains(err.Error(), "aes256-ctr") {
				t.Errorf("%s: %v", who, err)
			}
		}
	})
}

// refused does a handshake that must fail, and returns the errors of both sides.
func refused(t *testing.T, net network, peer kozo.NodeName, client, server *Config) (error, error) {
	t.Helper()
	a, b := net(t)
	out := serve(t, b, server)
	c, err := Client(t.Context(), a, peer, client)
	s := <-out
	if err == nil {
		c.Close(nil)
		t.Error("the client believes the server")
	}
	if s.err == nil {
		s.conn.Close(nil)
		t.Error("the server lets the client in")
	}
	for _, c := range []interface{ Write([]byte) (int, error) }{a, b} {
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("a connection is still open")
		}
	}
	return err, s.err
}

func says(t *testing.T, who string, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("the error of the %s, %v, does not say %q", who, err, w)
		}
	}
}

func TestSomebodyElseAnswers(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe", "owl")
		err, _ := refused(t, net, "scribe", s.config("clock"), s.config("owl"))
		says(t, "client", err, "is owl, not scribe")

		// The type of its key does not keep it from being recognised.
		s.keys["owl"] = testKey(t, "rsa")
		err, _ = refused(t, net, "scribe", s.config("clock"), s.config("owl"))
		says(t, "client", err, "is owl, not scribe")

		other := newSystem(t, "clock", "scribe")
		err, _ = refused(t, net, "scribe", s.config("clock"), other.config("scribe"))
		says(t, "client", err, "is not scribe", other.keys["scribe"].Public().Fingerprint())
	})
}

func TestUnknownPeerIsNotDialled(t *testing.T) {
	s := newSystem(t, "clock")
	a, b := sockets(t)
	defer b.Close()
	_, err := Client(t.Context(), a, "nobody", s.config("clock"))
	says(t, "client", err, "no node of the system is named nobody")
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection was not closed: %v", err)
	}
}

// liar has one public key and signs with another.
// The key that was offered first, and found to be good, must not be taken for
// the key that was proven (CVE-2024-45337).
// A stranger who sends many packets at once, so that the handshake fails while
// more are waiting, must not leave anything behind in the node.
// Without this the test above proves nothing: what the gate looks at is private
// to the ssh package and may change.
// What strangers do who do not speak SSH, or do not want to.
// flood sends well-formed packets without end that a handshake ignores.
func TestHandshakeEndsWithItsContext(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		for _, side := range []string{"client", "server"} {
			a, b := net(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			failed := make(chan error, 1)
			go func() {
				var err error
				if side == "server" {
					_, err = Server(ctx, b, s.config("scribe"))
				} else {
					_, err = Client(ctx, b, "scribe", s.config("clock"))
				}
				failed <- err
			}()
			// It has begun when its version arrives.
			if _, err := io.ReadFull(a, make([]byte, len(version))); err != nil {
				t.Fatal(err)
			}
			cause := fmt.Errorf("the node stops")
			cancel(cause)
			if err := <-failed; !errors.Is(err, cause) {
				t.Errorf("%s: %v", side, err)
			}
			a.Close()
		}
	})
}

func TestHandshakeAfterItsContext(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a, b := net(t)
		out := serve(t, b, s.config("scribe"))
		if _, err := Client(ctx, a, "scribe", s.config("clock")); !errors.Is(err, context.Canceled) {
			t.Errorf("client: %v", err)
		}
		if o := <-out; o.err == nil {
			o.conn.Close(nil)
		}
	})
}

// RSA keys are fine, their old signatures with SHA-1 are not.
// What ends while a handshake succeeds must not leave a connection behind.
func TestContextThatEndsAtTheLastMoment(t *testing.T) {
	inMemory(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		client := s.config("clock")
		ctx, cancel := context.WithCancel(t.Context())
		client.IdleTimeout = func(kozo.NodeName) time.Duration {
			cancel()
			return 25 * time.Second
		}
		a, b := net(t)
		out := serve(t, b, s.config("scribe"))
		if _, err := Client(ctx, a, "scribe", client); !errors.Is(err, context.Canceled) {
			t.Errorf("client: %v", err)
		}
		if o := <-out; o.err == nil {
			<-served(o.conn).over // the other side has closed it
		}
	})
}
