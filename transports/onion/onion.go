// Package onion is the transport over Tor: nodes are reached as onion services,
// wherever they are, and without anybody on the way knowing who talks to whom.
package onion

import (
	"cmp"
	"encoding/base32"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"kozo"
	"kozo/transports/internal/onionname"
	"kozo/transports/internal/socks"
)

type options struct {
	Address      string    `option:"address" default:"" doc:"The .onion name at which other nodes reach this one. kozo onion-address prints it if controlPort is given; otherwise it is in the file named hostname of the service that torrc describes."`
	Port         kozo.Port `option:"port" default:"9002" doc:"TCP port of 127.0.0.1 to accept connections on, to which the onion service leads."`
	OnionPort    kozo.Port `option:"onionPort" default:"" doc:"Port of the onion service, which other nodes dial. The same as port if it is not given."`
	IncomingOnly bool      `option:"incomingOnly" default:"false" doc:"Only accept connections from others over this transport, and make none."`
	OutgoingOnly bool      `option:"outgoingOnly" default:"false" doc:"Only make connections to others over this transport, and accept none. No address is needed then."`
	Backlog      int       `option:"socketConnectionBacklog" default:"0" min:"0" max:"65535" doc:"Most connections that wait to be accepted. The system chooses if it is 0."`

	SocksProxy  string `option:"socksProxy" default:"127.0.0.1:9050" doc:"Where Tor takes connections of programs: HOST:PORT, a port of this machine, or the path of a socket."`
	Transparent bool   `option:"transparent" default:"false" doc:"Leave it to the system to resolve and route .onion names (a transparent proxy), instead of using socksProxy."`

	ControlPort  string    `option:"controlPort" default:"" doc:"Where Tor can be controlled: HOST:PORT, a port such as 9051, or the path of a socket such as /run/tor/control. The node then makes its onion service itself, and can say how far Tor is."`
	PasswordFile kozo.Path `option:"controlPasswordFile" default:"" doc:"File with the password of the control port, if Tor wants one instead of its cookie."`
	KeyFile      kozo.Path `option:"keyFile" default:"" doc:"File for the keys that the node makes for controlPort. They are in roleStorage if it is not given."`
	ClientAuth   bool      `option:"clientAuth" default:"false" doc:"Only the nodes that have a clientKey in the file can find the onion service of this one. Needs controlPort."`
	ClientKey    string    `option:"clientKey" default:"" doc:"Public key with which this node finds the services that have clientAuth. kozo onion-address prints it."`
}

// Type returns the onion transport.
func Type() kozo.TransportType {
	return kozo.DefineTransport("onion",
		"Connections over Tor, through onion services: slow, but across firewalls, and nobody learns where the nodes are.", build)
}

type transport struct {
	options
	tor     socks.Tor
	control socks.Proxy
}

var (
	_ kozo.Transport   = (*transport)(nil)
	_ kozo.Connector   = (*transport)(nil)
	_ kozo.Prioritized = (*transport)(nil)
	_ kozo.Timed       = (*transport)(nil)
	_ kozo.Binder      = (*transport)(nil)
	_ kozo.Warner      = (*transport)(nil)
	_ kozo.Announcer   = (*transport)(nil)
)

func build(o options) (kozo.Transport, error) {
	t := &transport{options: o}
	t.Address = strings.ToLower(strings.TrimSuffix(o.Address, "."))
	t.OnionPort = cmp.Or(o.OnionPort, o.Port)
	return t, errors.Join(t.checkRoles(), t.checkAddress(), t.checkPlaces(), t.checkClients())
}

// checkRoles is about which options exclude each other.
func (t *transport) checkRoles() error {
	switch {
	case t.IncomingOnly && t.OutgoingOnly:
		return kozo.Errorf("outgoingOnly", "a transport that is incomingOnly as well can do nothing; remove one of the two")
	case t.OutgoingOnly && t.ClientAuth:
		return kozo.Errorf("clientAuth", "it is for the onion service of the node, and with outgoingOnly there is none")
	case t.ClientAuth && t.ControlPort == "":
		return kozo.Errorf("clientAuth", "it needs controlPort; for a service that torrc describes, torrc says who can find it")
	case t.Address == "" && !t.OutgoingOnly && t.ControlPort == "":
		return kozo.Errorf("address", "the node needs one: the .onion name of its service in torrc. Or give it controlPort, and let kozo onion-address make one, or outgoingOnly")
	}
	return nil
}

func (t *transport) checkAddress() error {
	if t.Address == "" {
		return nil
	}
	if !onionname.Is(t.Address) {
		return kozo.Errorf("address", "%q does not end in .onion; other addresses are for transports of type tcp", t.options.Address)
	}
	if err := onionname.Check(t.Address); err != nil {
		return kozo.Errorf("address", "%s cannot be reached: %w", t.Address, err)
	}
	return nil
}

// checkPlaces reads where Tor is.
func (t *transport) checkPlaces() error {
	var errs []error
	read := func(option, text string, into *socks.Proxy) {
		var err error
		if *into, err = socks.Parse(text); err != nil {
			errs = append(errs, kozo.Errorf(option, "%q: %w", text, err))
		}
	}
	if !t.Transparent {
		read("socksProxy", t.SocksProxy, &t.tor.Proxy)
	}
	if t.ControlPort != "" {
		read("controlPort", t.ControlPort, &t.control)
	}
	return errors.Join(errs...)
}

func (t *transport) checkClients() error {
	if t.ClientKey == "" {
		return nil
	}
	if raw, err := clientEncoding().DecodeString(strings.ToUpper(t.ClientKey)); err != nil || len(raw) != 32 {
		return kozo.Errorf("clientKey", "%q is not a key as kozo onion-address prints it, 52 letters and digits", t.ClientKey)
	}
	return nil
}

func clientEncoding() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }

func (t *transport) Endpoints() []string {
	if t.OutgoingOnly || t.Address == "" {
		return nil
	}
	return []string{net.JoinHostPort(t.Address, strconv.Itoa(int(t.OnionPort)))}
}

// CanConnect says whether this node dials the other one: not if it only accepts,
// nor if the other one's service cannot be found by it.
func (t *transport) CanConnect(remote kozo.Transport) bool {
	r, ok := remote.(*transport)
	return ok && !t.IncomingOnly && (!r.ClientAuth || t.ClientKey != "")
}

// Priority is a low one: everything else is faster.
func (t *transport) Priority() kozo.Priority { return kozo.Poor }

// Times leaves room for circuits to be built, and for what happens to them.
func (t *transport) Times(string) kozo.Times {
	return kozo.Times{Dial: 90 * time.Second, Handshake: 45 * time.Second, Silence: time.Minute}
}

func (t *transport) Binds() []string {
	if len(t.Endpoints()) == 0 {
		return nil
	}
	return []string{"tcp " + t.bind()}
}

// bind is always an address that only this machine can reach: what comes from
// elsewhere comes through Tor.
func (t *transport) bind() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(t.Port)))
}

// Warnings is about options that will have no effect.
func (t *transport) Warnings() []*kozo.OptionError {
	var warnings []*kozo.OptionError
	warn := func(option, format string, args ...any) {
		warnings = append(warnings, kozo.Errorf(option, format, args...))
	}
	if t.OutgoingOnly && t.Address != "" {
		warn("address", "nobody will dial it, since the transport is outgoingOnly")
	}
	if t.Address == "" && !t.OutgoingOnly {
		warn("controlPort", "nobody can dial this node yet: put the address that kozo onion-address prints into the file, on every node")
	}
	if t.ClientAuth && t.ClientKey == "" && !t.IncomingOnly {
		warn("clientAuth", "this node has no clientKey itself and can find no other service that has clientAuth; kozo onion-address prints one")
	}
	if t.ClientKey != "" && t.ControlPort == "" {
		warn("clientKey", "without controlPort the private half must be put into tor's ClientOnionAuthDir by hand")
	}
	return warnings
}

// name is what Tor calls a service: its address without .onion and without
// subdomains.
func name(address string) string {
	address = strings.TrimSuffix(address, ".onion")
	return address[strings.LastIndexByte(address, '.')+1:]
}
