// Package socks reaches hosts through a SOCKS 5 proxy (RFC 1928, RFC 1929), and
// first of all through Tor: streams of different peers are kept apart, and Tor's
// own codes for what went wrong with an onion service are put into words. That
// is why it is not the client of golang.org/x/net/proxy, which hides the codes.
package socks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"kozo"
)

// Proxy is where a SOCKS proxy is.
type Proxy struct {
	network string // "tcp" or "unix"
	address string
}

// Parse reads where a proxy, or Tor's control port, is: HOST:PORT, a port of
// this machine, or the path of a socket.
func Parse(text string) (Proxy, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok || strings.HasPrefix(text, "/") {
		if path == "" {
			return Proxy{}, errors.New("the path of the socket is missing")
		}
		return Proxy{"unix", path}, nil
	}
	host, port := "127.0.0.1", text
	if strings.Contains(text, ":") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil || host == "" {
			return Proxy{}, errors.New("write HOST:PORT, a PORT of this machine, or the path of a socket")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Proxy{}, fmt.Errorf("write HOST:PORT, a PORT of this machine, or the path of a socket; %q is no port", port)
	}
	return Proxy{"tcp", net.JoinHostPort(host, port)}, nil
}

// String returns the address of the proxy.
func (p Proxy) String() string { return p.address }

// Connect connects to what is at the address, and not through it.
func (p Proxy) Connect(ctx context.Context, env *kozo.TransportEnv) (net.Conn, error) {
	if p.network == "unix" {
		return env.Dial(ctx, p.network, p.address)
	}
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{{}}
	if addrs[0], err = netip.ParseAddr(host); err != nil {
		if addrs, err = env.Resolve(ctx, host); err != nil {
			return nil, err
		}
	}
	for _, a := range addrs {
		var conn net.Conn
		if conn, err = env.Dial(ctx, p.network, net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// Unreachable is the error when the proxy itself cannot be reached.
type Unreachable struct {
	Proxy Proxy
	Err   error
}

// Error says what to do.
func (e *Unreachable) Error() string {
	err := e.Err
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return fmt.Sprintf("tor does not answer at %s (%s); start it, or set socksProxy to where it listens",
		e.Proxy, strings.TrimPrefix(err.Error(), "connect: "))
}

// Unwrap returns why.
func (e *Unreachable) Unwrap() error { return e.Err }

// Refused is the error when the proxy cannot connect to the host. Code is that
// of its reply.
type Refused struct{ Code byte }

// Error puts the code into words.
func (e *Refused) Error() string {
	if text, ok := replies[e.Code]; ok {
		return text
	}
	return fmt.Sprintf("the proxy failed with the code %#02x", e.Code)
}

// What the codes mean; from 0xf0 on they are Tor's own, which it uses where its
// SocksPort has the flag ExtendedErrors.
var replies = map[byte]string{
	0x01: "tor cannot reach it now: tor may still be starting, the service may be gone, or the clock of one of the machines may be wrong",
	0x02: "tor does not allow this connection",
	0x03: "tor has no way into its network",
	0x04: "tor cannot find the service: it is not running or has just begun to, or the clock of one of the machines is wrong, or this node is not among those that may find it",
	0x05: "the service is there, but nobody listens behind it: the node is not running, or its service leads to another port",
	0x06: "tor found no way to the service in time: it may have gone, or tor may still be starting",
	0x07: "the proxy cannot connect, or refuses onion services",
	0x08: "the proxy does not know host names; is it a SOCKS 5 proxy of tor?",
	0xf0: "the service has vanished: tor finds no description of it. Its node or tor there is not running or has just started, or the clock of one of the machines is wrong",
	0xf1: "tor found a description of the service that it cannot read; the clock of one of the machines may be wrong",
	0xf2: "the service has vanished: it is described, but cannot be introduced to. Its node or tor there has stopped or was restarted a moment ago",
	0xf3: "tor failed to meet the service, which does exist",
	0xf4: "the service lets only some nodes find it, and tor has no key of this one for it: the node needs a clientKey that the service has in its file",
	0xf5: "the service lets only some nodes find it, and this node's clientKey is not among them; copy the same file to both nodes",
	0xf6: "tor takes the name for malformed",
	0xf7: "the service has vanished: it did not answer its introduction in time",
}

// Dial connects to a host through the proxy. Streams with different isolation,
// at most 255 bytes, do not share a path through Tor's network. The error is an
// *[Unreachable] or a *[Refused] where it can be.
func (p Proxy) Dial(ctx context.Context, env *kozo.TransportEnv, isolation, target string) (net.Conn, error) {
	request, err := requestOf(target)
	if err != nil {
		return nil, err
	}
	conn, err := p.Connect(ctx, env)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Unreachable{p, err}
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = p.negotiate(conn, env, isolation, request)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return conn, nil
}

const (
	version5   = 5
	noAuth     = 0
	userPass   = 2
	cmdConnect = 1
	typeIPv4   = 1
	typeName   = 3
	typeIPv6   = 4
)

// requestOf makes the request to connect to HOST:PORT.
func requestOf(target string) ([]byte, error) {
	host, text, err := net.SplitHostPort(target)
	if err != nil {
		return nil, fmt.Errorf("%q has no port", target)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(host) > 255 || host == "" {
		return nil, fmt.Errorf("%q cannot be asked for", target)
	}
	b := append([]byte{version5, cmdConnect, 0, typeName, byte(len(host))}, host...)
	return append(b, byte(port>>8), byte(port)), nil
}

func (p Proxy) negotiate(conn net.Conn, env *kozo.TransportEnv, isolation string, request []byte) error {
	var buf [257]byte
	if _, err := conn.Write([]byte{version5, 2, noAuth, userPass}); err != nil {
		return p.broken(err)
	}
	if _, err := io.ReadFull(conn, buf[:2]); err != nil {
		return p.broken(err)
	}
	switch {
	case buf[0] != version5:
		return fmt.Errorf("what listens at %s is no SOCKS 5 proxy", p)
	case buf[1] == userPass:
		user := "kozo " + string(env.Node)
		isolation = isolation[:min(len(isolation), 255)]
		b := append([]byte{1, byte(len(user))}, user...)
		b = append(append(b, byte(len(isolation))), isolation...)
		if _, err := conn.Write(b); err != nil {
			return p.broken(err)
		}
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return p.broken(err)
		}
		if buf[1] != 0 {
			return fmt.Errorf("the proxy at %s wants a password", p)
		}
	case buf[1] != noAuth:
		return fmt.Errorf("the proxy at %s wants a password", p)
	}
	if _, err := conn.Write(request); err != nil {
		return p.broken(err)
	}
	if _, err := io.ReadFull(conn, buf[:4]); err != nil {
		return p.broken(err)
	}
	if buf[1] != 0 {
		return &Refused{buf[1]}
	}
	rest := 2 // the port of the address that follows
	switch buf[3] {
	case typeIPv4:
		rest += 4
	case typeIPv6:
		rest += 16
	case typeName:
		if _, err := io.ReadFull(conn, buf[:1]); err != nil {
			return p.broken(err)
		}
		rest += int(buf[0])
	default:
		return fmt.Errorf("the proxy at %s answered in a way that is not SOCKS 5", p)
	}
	if _, err := io.ReadFull(conn, buf[:rest]); err != nil {
		return p.broken(err)
	}
	return nil
}

func (p Proxy) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the proxy at %s hung up; tor may be stopping", p)
	}
	return fmt.Errorf("the proxy at %s failed: %w", p, err)
}
