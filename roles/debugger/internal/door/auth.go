package door

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// auth knows who may enter.
type auth struct {
	host  ssh.Signer
	names map[string]string // of the nodes, by public key
	want  *[sha256.Size]byte

	// guessing is held while a password is looked at: one after the other, and
	// after wrong ones slowly.
	guessing sync.Mutex
	wrong    int
}

func (a *auth) init(s *Settings) error {
	var err error
	if a.host, err = ssh.ParsePrivateKey(s.HostKey); err != nil {
		return fmt.Errorf("the key of the node: %w", err)
	}
	a.names = map[string]string{}
	for name, line := range s.Keys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return fmt.Errorf("the public key of node %s: %w", name, err)
		}
		a.names[string(key.Marshal())] = name
	}
	if s.Password != "" {
		sum := sha256.Sum256([]byte(s.Password))
		a.want = &sum
	}
	return nil
}

// slowest is the longest wait after a wrong password; the first one is a second.
const slowest = 8 * time.Second

// password checks one, and takes its time when it is wrong.
func (a *auth) password(ctx context.Context, given []byte) bool {
	a.guessing.Lock()
	defer a.guessing.Unlock()
	sum := sha256.Sum256(given)
	if subtle.ConstantTimeCompare(sum[:], a.want[:]) == 1 {
		return true
	}
	a.wrong++
	pause(ctx, min(time.Second<<min(a.wrong-1, 10), slowest))
	return false
}

// who is the extension that says who has entered.
const who = "who"

var errUser = errors.New("the user is " + User)

// config makes the configuration of one connection. guesses counts its wrong
// passwords.
func (a *auth) config(ctx context.Context, guesses *int) *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-kozo-debugger",
		MaxAuthTries:  6, // a client offers all its keys first
		PublicKeyCallback: func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			name, ok := a.names[string(key.Marshal())]
			if conn.User() != User {
				return nil, errUser
			}
			if !ok {
				return nil, errors.New("this is the key of none of the nodes")
			}
			return &ssh.Permissions{Extensions: map[string]string{who: "the key of node " + name}}, nil
		},
	}
	if a.want != nil {
		c.PasswordCallback = func(conn ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
			if conn.User() != User {
				*guesses++
				return nil, errUser
			}
			if !a.password(ctx, given) {
				*guesses++
				return nil, errors.New("wrong password")
			}
			return &ssh.Permissions{Extensions: map[string]string{who: "the password"}}, nil
		}
	}
	c.AddHostKey(a.host)
	return c
}

// serve deals with one connection. known is called when the client has proved
// who it is, or has failed to.
func (d *door) serve(ctx context.Context, raw net.Conn, known func()) {
	addr := raw.RemoteAddr().String()
	guesses := 0
	_ = raw.SetDeadline(time.Now().Add(knockTimeout))
	conn, channels, requests, err := ssh.NewServerConn(raw, d.auth.config(ctx, &guesses))
	known()
	if err != nil {
		why := "no key of a node"
		if guesses > 0 {
			why = fmt.Sprintf("wrong password, tried %d times", guesses)
		}
		d.refuse(addr, why)
		return
	}
	defer conn.Close()
	_ = raw.SetDeadline(time.Time{})
	if err := d.enter(); err != nil {
		d.refuse(addr, err.Error())
		return
	}
	by := conn.Permissions.Extensions[who]
	d.tell(Event{What: Attached, Addr: addr, Who: by})
	c := &client{door: d, conn: conn}
	c.serve(ctx, channels, requests)
	last := d.exit()
	d.tell(Event{What: Left, Addr: addr, Who: by})
	if last && c.talked {
		d.end(errors.New("the last client has left"))
	}
}
