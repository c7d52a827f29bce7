// Package tcp is the transport over TCP: the fastest and the most reliable one.
package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"kozo"
	"kozo/transports/internal/onionname"
	"kozo/transports/internal/socks"
)

type options struct {
	Address     kozo.List `option:"address" doc:"Addresses, host names, .local names or .onion names at which other nodes reach this one, best first. An address can have a port of its own after a colon. Write an empty one for a node that only dials others."`
	BindAddress string    `option:"bindAddress" default:"" doc:"Address to accept connections on; localhost for the machine itself alone. All addresses of the machine if it is not given."`
	Port        kozo.Port `option:"port" default:"9001" doc:"TCP port to accept connections on, and that others dial if an address has none of its own."`
	Backlog     int       `option:"socketConnectionBacklog" default:"0" min:"0" max:"65535" doc:"Most connections that wait to be accepted. The system chooses if it is 0."`
	SocksProxy  string    `option:"socksProxy" default:"" doc:"Where Tor takes connections of programs on this machine, for dialling the .onion addresses of others: HOST:PORT, a port such as 9050, or the path of a socket. Without it the system must resolve and route these names (a transparent proxy)."`
}

// Type returns the tcp transport.
func Type() kozo.TransportType {
	return kozo.DefineTransport("tcp",
		"Connections over TCP, the fastest and most reliable transport. Names are looked up again at every attempt, .local names included.", build)
}

type transport struct {
	options
	endpoints []string // host:port
	names     []string // the hosts of addresses, as they are in the options
	tor       socks.Tor
}

var (
	_ kozo.Transport   = (*transport)(nil)
	_ kozo.Prioritized = (*transport)(nil)
	_ kozo.Binder      = (*transport)(nil)
	_ kozo.Warner      = (*transport)(nil)
	_ kozo.Timed       = (*transport)(nil)
)

func build(o options) (kozo.Transport, error) {
	t := &transport{options: o}
	for _, address := range o.Address {
		host, port, err := splitAddress(address, int(o.Port))
		if err != nil {
			return nil, kozo.Errorf("address", "%q is no address: %w", address, err)
		}
		endpoint := net.JoinHostPort(host, strconv.Itoa(port))
		if slices.Contains(t.endpoints, endpoint) {
			continue
		}
		t.endpoints = append(t.endpoints, endpoint)
		t.names = append(t.names, host)
	}
	if o.BindAddress != "" {
		if err := checkHost(o.BindAddress); err != nil {
			return nil, kozo.Errorf("bindAddress", "%q cannot be bound: %w", o.BindAddress, err)
		}
	}
	if o.SocksProxy != "" {
		var err error
		if t.tor.Proxy, err = socks.Parse(o.SocksProxy); err != nil {
			return nil, kozo.Errorf("socksProxy", "%q is no proxy: %w", o.SocksProxy, err)
		}
	}
	return t, nil
}

// splitAddress reads an address: a host, an IPv4 or IPv6 address, each with or
// without a port. IPv6 with a port is in brackets.
func splitAddress(address string, defaultPort int) (host string, port int, err error) {
	if scheme, _, ok := strings.Cut(address, "://"); ok {
		return "", 0, fmt.Errorf("leave %s:// away, only a host and maybe a port are wanted", scheme)
	}
	host, port = address, defaultPort
	bare, bracketed := strings.CutPrefix(address, "[")
	_, err = netip.ParseAddr(address)
	switch {
	case err == nil: // all of it is an address
	case bracketed && strings.HasSuffix(bare, "]"):
		host = strings.TrimSuffix(bare, "]")
	case strings.Contains(address, ":"):
		var text string
		if host, text, err = net.SplitHostPort(address); err != nil {
			return "", 0, errors.New("write HOST, HOST:PORT, or [IPV6]:PORT")
		}
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("the port after the colon must be a number from 1 to 65535, not %q", text)
		}
		port = int(n)
	}
	if bracketed {
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return "", 0, errors.New("only an IPv6 address is written in brackets")
		}
	}
	return host, port, checkHost(host)
}

// checkHost says whether a host can be looked up or is an address.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	name := strings.TrimSuffix(host, ".")
	switch {
	case name == "":
		return errors.New("the host is empty")
	case len(name) > 253:
		return errors.New("a host name has at most 253 letters")
	case strings.ContainsAny(host, " \t\r\n"):
		return errors.New("there is a space in it; put commas between addresses")
	case strings.Contains(host, "/"):
		return errors.New("there is a / in it, and only a host and maybe a port are wanted")
	case strings.Contains(host, ":"):
		return errors.New("a colon stands only before a port, or in an IPv6 address, which this is not")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return errors.New("between two dots of a host name are 1 to 63 letters")
		}
	}
	for _, r := range name {
		if r < 0x80 && r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return fmt.Errorf("a host name cannot contain %q", r)
		}
	}
	if last := name[strings.LastIndexByte(name, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return errors.New("it ends in a number but is not an IPv4 address, which is four numbers from 0 to 255 with dots between them")
	}
	return nil
}

func (t *transport) Endpoints() []string { return slices.Clone(t.endpoints) }

func (t *transport) Priority() kozo.Priority { return kozo.Best }

// Times gives onion services the time that they need.
func (t *transport) Times(endpoint string) kozo.Times {
	if host, _, err := net.SplitHostPort(endpoint); err != nil || !onionname.Is(host) {
		return kozo.Times{}
	}
	return kozo.Times{Dial: 90 * time.Second, Handshake: 45 * time.Second, Silence: time.Minute}
}

func (t *transport) Binds() []string {
	if len(t.endpoints) == 0 {
		return nil
	}
	return []string{"tcp " + t.bind()}
}

func (t *transport) bind() string {
	return net.JoinHostPort(t.BindAddress, strconv.Itoa(int(t.Port)))
}

func (t *transport) Listen(ctx context.Context, env *kozo.TransportEnv) (net.Listener, error) {
	l, err := env.Listen(ctx, "tcp", t.bind(), t.Backlog)
	if err != nil {
		return nil, fmt.Errorf("cannot accept connections, choose another bindAddress or port or end the program that uses it: %w", err)
	}
	return l, nil
}

// Warnings is about addresses that nobody can dial. They are no errors, since
// the other addresses work.
func (t *transport) Warnings() []*kozo.OptionError {
	var warnings []*kozo.OptionError
	for _, name := range t.names {
		a, err := netip.ParseAddr(name)
		switch {
		case err != nil:
		case a.IsUnspecified(), a.IsMulticast():
			warnings = append(warnings, kozo.Errorf("address", "%s is not the address of a machine; others cannot dial it", name))
		case a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "":
			warnings = append(warnings, kozo.Errorf("address", "%s needs the network interface of the machine that dials it, as in %s%%eth0; a .local name is simpler", name, name))
		}
		if err := onionname.Check(name); err != nil {
			warnings = append(warnings, kozo.Errorf("address", "%s cannot be reached: %w", name, err))
		}
	}
	return warnings
}
