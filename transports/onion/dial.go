package onion

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"kozo"
	"kozo/transports/internal/onionname"
	"kozo/transports/internal/socks"
	"kozo/transports/onion/internal/control"
)

const (
	controlTime = 10 * time.Second       // for what is asked of Tor
	startTime   = 5 * time.Second        // to wait for a Tor that is starting, before saying so
	startPoll   = 250 * time.Millisecond // between two questions how far it is
)

// Dial connects to the onion service of a peer, on a path of its own through
// Tor's network.
func (t *transport) Dial(ctx context.Context, env *kozo.TransportEnv, endpoint string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil || !onionname.Is(host) {
		return nil, fmt.Errorf("%q is no endpoint of an onion transport", endpoint)
	}
	if err := onionname.Check(host); err != nil {
		return nil, err
	}
	if t.Transparent {
		return dialTransparently(ctx, env, endpoint)
	}
	var unasked error // why Tor could not be asked
	if t.ControlPort != "" {
		if unasked, err = t.prepare(ctx, env, endpoint); err != nil {
			return nil, err
		}
	}
	conn, err := t.tor.Dial(ctx, env, endpoint)
	if errors.Is(err, socks.ErrNoPath) {
		hint := "its node or tor there may have stopped"
		if t.ControlPort == "" {
			hint += ", or tor here may still be starting; with controlPort the node could say which"
		}
		err = fmt.Errorf("%w: %s", err, hint)
	}
	if err != nil && unasked != nil {
		err = fmt.Errorf("%w; and tor cannot be asked why: %w", err, unasked)
	}
	return conn, err
}

// dialTransparently leaves everything to the system.
func dialTransparently(ctx context.Context, env *kozo.TransportEnv, endpoint string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, err
	}
	addrs, err := env.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	failed := fmt.Errorf("%s has no address that can be dialled", host)
	for _, a := range addrs {
		if a.IsLinkLocalUnicast() && a.Zone() == "" {
			continue // tor gives one out as well, which no program can dial
		}
		conn, err := env.Dial(ctx, "tcp", net.JoinHostPort(a.String(), port))
		if err == nil {
			return socks.Paced(conn), nil
		}
		if failed = fmt.Errorf("the system's transparent proxy does not lead to the service: %w", err); ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// prepare asks Tor whether it is ready, and gives it the key for a service that
// hides. A control port that fails is no reason not to try the proxy, if it was
// only to be asked: that is the first result.
func (t *transport) prepare(ctx context.Context, env *kozo.TransportEnv, endpoint string) (unasked, err error) {
	hidden := hides(env.Peers, endpoint)
	c, err := t.connect(ctx, env)
	if err != nil {
		if _, gone := errors.AsType[*socks.Unreachable](err); gone || hidden {
			return nil, err
		}
		return err, nil
	}
	defer c.Close()
	if err := await(ctx, c); err != nil || !hidden {
		return nil, err
	}
	k, err := t.load(env)
	if err != nil {
		return nil, err
	}
	public, private := k.client()
	if !strings.EqualFold(public, t.ClientKey) {
		return nil, fmt.Errorf("the clientKey of this node is %s, and the file says another one; put it there, on every node", public)
	}
	host, _, _ := net.SplitHostPort(endpoint)
	return nil, c.AddClientKey(name(host), private)
}

// hides says whether the service of an endpoint can only be found with a key.
func hides(peers []kozo.Remote, endpoint string) bool {
	return slices.ContainsFunc(peers, func(p kozo.Remote) bool {
		t, ok := p.Transport.(*transport)
		return ok && t.ClientAuth && slices.Contains(t.Endpoints(), endpoint)
	})
}

// connect opens a connection to the control port.
func (t *transport) connect(ctx context.Context, env *kozo.TransportEnv) (*control.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	raw, err := t.control.Connect(ctx, env)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("tor's control socket %s is not for this user (%w); add the user of kozo to the group of tor, which is debian-tor on Debian", t.control, err)
		}
		return nil, &notRunning{socks.Unreachable{Proxy: t.control, Err: err}}
	}
	_ = raw.SetDeadline(time.Now().Add(controlTime))
	c := control.New(raw)
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	err = c.Authenticate(t.password)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("tor's control port %s: %w", t.control, err)
	}
	return c, nil
}

// notRunning is the error when nobody listens at the control port.
type notRunning struct{ socks.Unreachable }

func (e *notRunning) Error() string {
	err := e.Err
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return fmt.Sprintf("tor is not running, or has no control port at %s (%s); start it, with a line ControlPort in torrc", e.Proxy,
		strings.TrimPrefix(err.Error(), "connect: "))
}

// Unwrap returns what can be looked for.
func (e *notRunning) Unwrap() error { return &e.Unreachable }

const maxPassword = 1 << 10

func (t *transport) password() (string, error) {
	if t.PasswordFile == "" {
		return "", errors.New("tor's control port wants a password; put it into a file and name that in controlPasswordFile, or set CookieAuthentication 1 in torrc")
	}
	text, err := os.ReadFile(string(t.PasswordFile))
	if err != nil {
		return "", err
	}
	if len(text) > maxPassword {
		return "", fmt.Errorf("%s is too large for a password", t.PasswordFile)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// await waits for a Tor that is starting, but not for long: the error says how
// far it is.
func await(ctx context.Context, c *control.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		_ = c.SetDeadline(time.Now().Add(controlTime))
		p, err := c.Bootstrap()
		if err != nil || p.Percent == 100 {
			return err
		}
		timer := time.NewTimer(startPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return starting(p)
		}
	}
}

// starting says how far Tor is, and what keeps it.
func starting(p control.Progress) error {
	text := fmt.Sprintf("tor is still starting: %d %%", p.Percent)
	if p.Summary != "" {
		text += ", " + strings.ToLower(p.Summary[:1]) + p.Summary[1:]
	}
	if p.Reason == "CLOCK_SKEW" || strings.Contains(strings.ToLower(p.Warning), "clock") {
		text += "; the clock of this machine is wrong, and tor needs it to be right: set it, or let NTP do so"
	}
	if p.Warning != "" {
		text += fmt.Sprintf(" (tor warns: %.200s)", p.Warning)
	}
	return errors.New(kozo.Printable(text))
}
