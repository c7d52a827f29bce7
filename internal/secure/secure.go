// Package secure makes of a network connection an encrypted one with a known
// node at the other end. It is the only user of the SSH protocol: the dialling
// node is the SSH client, its user name is the name of the node, and each side
// accepts exactly the one key that the configuration gives to the other.
//
// A connection carries streams, which either side can open. Everything that the
// SSH protocol offers beside that is refused: there are no commands, no shells,
// no forwarding, no passwords.
//
// The ssh package knows no time limits. Here the handshake has one, each write
// has one, and a connection on which nothing arrives for some time is dead.
package secure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"kozo"
)

const (
	version     = "SSH-2.0-kozo"
	channelType = "kozo@1"

	// nodeExtension is where the name of the node whose key was accepted is
	// handed from the check to whoever uses the connection.
	nodeExtension = "kozo-node"
)

// Config says who a node is, whom it knows and how it speaks to them. It must
// not be changed once it is in use, and may be used by several goroutines.
type Config struct {
	Self kozo.NodeName
	Key  *Key

	// Peer returns the public key of a node of the system. It is false for
	// every other name.
	Peer func(kozo.NodeName) (PublicKey, bool)

	// NameOf returns the node of the system that has a key. It only makes
	// errors clearer, and can be nil.
	NameOf func(PublicKey) (kozo.NodeName, bool)

	// Ciphers and MACs are SSH names as CheckCipher and CheckMAC return them,
	// best first. An empty list means all that are safe.
	Ciphers, MACs []string

	// HandshakeTimeout is the longest time for a handshake; 0 means 10 s.
	HandshakeTimeout time.Duration

	// IdleTimeout returns for how long nothing may arrive from a peer until its
	// connection is dead; 0, or no function, means 25 s.
	IdleTimeout func(peer kozo.NodeName) time.Duration

	// Watch ends connections whose peer is silent. One for all connections of a
	// program lets it sleep longer; nil means that each has its own.
	Watch *Watch

	// ReadSize is the most bytes that one read takes, and the unit in which
	// the time limits of writes grow; 0 means 64 KiB, and more than 1 MiB is
	// taken as 1 MiB.
	ReadSize int
}

func (cfg *Config) idle(peer kozo.NodeName) time.Duration {
	if cfg.IdleTimeout != nil {
		if d := cfg.IdleTimeout(peer); d > 0 {
			return d
		}
	}
	return 25 * time.Second
}

func (cfg *Config) ssh() ssh.Config {
	return ssh.Config{
		Rand:    new(padding),
		Ciphers: cfg.Ciphers,
		MACs:    cfg.MACs,
		KeyExchanges: []string{
			ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
		},
	}
}

// signatures returns the algorithms with which the holder of a key can sign.
func signatures(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256} // never SHA-1
	}
	return []string{keyType}
}

// allSignatures returns every signature algorithm, those of one type of key
// first.
func allSignatures(first string) []string {
	all := signatures(first)
	for _, t := range keyTypes() {
		if t != first {
			all = append(all, signatures(t)...)
		}
	}
	return all
}

// Client does the handshake on a connection that this node made to a peer, and
// proves that the peer is at the other end. It always takes over the connection:
// if it fails, or ctx is done before it is, the connection is closed.
func Client(ctx context.Context, conn net.Conn, peer kozo.NodeName, cfg *Config) (*Conn, error) {
	want, ok := cfg.Peer(peer)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("no node of the system is named %s", peer)
	}
	r := newRaw(conn, cfg)
	r.gate.client = true
	var wrongKey error
	var proven bool
	config := &ssh.ClientConfig{
		Config:        cfg.ssh(),
		User:          string(cfg.Self),
		Auth:          []ssh.AuthMethod{ssh.PublicKeys(cfg.Key.signer)},
		ClientVersion: version,
		// Any type of key may be shown, so that the error can name its owner.
		HostKeyAlgorithms: allSignatures(want.Type()),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if got := PublicKey(key.Marshal()); got != want {
				wrongKey = cfg.notPeer(peer, got)
				return wrongKey
			}
			proven = true
			return nil
		},
		AuthCallback: func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
			r.gate.watch(c.Metadata)
			return nil, nil
		},
	}
	stop := context.AfterFunc(ctx, func() { r.kill(context.Cause(ctx)) })
	c, chans, reqs, err := ssh.NewClientConn(r, "", config)
	switch reason := r.reason(); {
	case err == nil:
		return establish(ctx, stop, r, peer, c, chans, reqs, cfg)
	case wrongKey != nil:
		err = wrongKey
	case proven && (errors.Is(reason, ErrPeerClosed) || errors.Is(reason, ErrReset)):
		err = fmt.Errorf("handshake with %s: %w; maybe it knows %s by another key", peer, reason, cfg.Self)
	case reason != nil:
		err = fmt.Errorf("handshake with %s: %w", peer, reason)
	case proven:
		err = fmt.Errorf("%s does not let %s in: it knows it by another key or not at all; compare the configuration files of the two", peer, cfg.Self)
	default:
		err = fmt.Errorf("handshake with %s: %w", peer, plainly(err))
	}
	stop()
	r.kill(err)
	return nil, err
}

// notPeer says that somebody else answered than was dialled.
func (cfg *Config) notPeer(peer kozo.NodeName, got PublicKey) error {
	if cfg.NameOf != nil {
		if owner, ok := cfg.NameOf(got); ok {
			return fmt.Errorf("the node that answered at this address is %s, not %s", owner, peer)
		}
	}
	return fmt.Errorf("whoever answered at this address is not %s: it has another key, %s", peer, got.Fingerprint())
}

// Stranger is the error about somebody who dialled in and is not a node of the
// system, or not the one it says it is. All of it is what the stranger says; it
// has proven nothing.
type Stranger struct {
	Address string
	Name    string // the node that it said it is; printable, at most 64 bytes
	Key     PublicKey
	Reason  string
}

// Error tells who it was and why it was not let in.
func (s *Stranger) Error() string {
	return fmt.Sprintf("%s, which calls itself %q, was not let in: %s", s.Address, s.Name, s.Reason)
}

// Server does the handshake on a connection that was accepted, and finds out
// which node is at the other end. It always takes over the connection, on the
// terms of [Client]. The error is a *[Stranger] if somebody who is not of the
// system showed a key.
func Server(ctx context.Context, conn net.Conn, cfg *Config) (*Conn, error) {
	r := newRaw(conn, cfg)
	var stranger *Stranger // for the error; who it is, is said by Permissions
	config := &ssh.ServerConfig{
		Config:                  cfg.ssh(),
		ServerVersion:           version,
		MaxAuthTries:            1,
		PublicKeyAuthAlgorithms: allSignatures(ssh.KeyAlgoED25519),
		PreAuthConnCallback:     func(c ssh.ServerPreAuthConn) { r.gate.watch(c) },
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			name, shown := kozo.NodeName(c.User()), PublicKey(key.Marshal())
			stranger = &Stranger{Address: r.address(), Name: printable(c.User(), kozo.MaxName), Key: shown, Reason: cfg.refuse(name, shown)}
			if stranger.Reason != "" {
				return nil, stranger
			}
			return &ssh.Permissions{Extensions: map[string]string{nodeExtension: string(name)}}, nil
		},
	}
	config.AddHostKey(cfg.Key.signer)
	stop := context.AfterFunc(ctx, func() { r.kill(context.Cause(ctx)) })
	c, chans, reqs, err := ssh.NewServerConn(r, config)
	if err == nil {
		peer := kozo.NodeName(c.Permissions.Extensions[nodeExtension])
		return establish(ctx, stop, r, peer, c, chans, reqs, cfg)
	}
	switch reason := r.reason(); {
	case stranger != nil && stranger.Reason != "":
		err = stranger
	case stranger != nil && reason == nil:
		stranger.Reason = "it did not prove that it has the key of that node"
		err = stranger
	case reason != nil:
		err = fmt.Errorf("handshake with %s: %w", r.address(), reason)
	default:
		err = fmt.Errorf("handshake with %s: %w", r.address(), plainly(err))
	}
	stop()
	r.kill(err)
	return nil, err
}

// refuse says why somebody with a name and a key is not let in, or nothing.
func (cfg *Config) refuse(name kozo.NodeName, shown PublicKey) string {
	want, known := cfg.Peer(name)
	switch {
	case name == cfg.Self:
		return "it has the name of this node itself"
	case known && shown == want:
		return ""
	}
	if cfg.NameOf != nil {
		if owner, ok := cfg.NameOf(shown); ok {
			return fmt.Sprintf("its key is that of %s", owner)
		}
	}
	if !known {
		return "no node of the system has this name"
	}
	return fmt.Sprintf("its key is not that of %s", name)
}

func establish(ctx context.Context, stop func() bool, r *raw, peer kozo.NodeName, c ssh.Conn,
	chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request, cfg *Config) (*Conn, error) {
	r.established(cfg.idle(peer), outgoing(c))
	conn := newConn(r, peer, c, chans, reqs)
	if !stop() {
		conn.Close(context.Cause(ctx))
	}
	if err := conn.Err(); err != nil {
		conn.Serve(ctx, func(s *Stream) { s.Close() }) // the ssh package must not be left waiting
		return nil, fmt.Errorf("handshake with %s: %w", peer, err)
	}
	return conn, nil
}

// plainly says an error of the ssh package about a handshake in plain words.
func plainly(err error) error {
	if n, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		return fmt.Errorf("no %s in common: this side has %s, the other %s; compare the configuration files of the two",
			n.What, strings.Join(n.SupportedAlgorithms, ", "), printable(strings.Join(n.RequestedAlgorithms, ", "), 256))
	}
	text := plain(err)
	if strings.Contains(text, "version string") {
		return errors.New("the other side does not speak SSH")
	}
	return errors.New(text)
}

// plain returns the text of an error of the ssh package without its prefixes.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), "ssh: ", "")
	return printable(strings.TrimPrefix(text, "handshake failed: "), 256)
}

// printable makes text that came from outside fit to be shown to people.
func printable(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
