// Package bluetooth is the transport over classic Bluetooth: RFCOMM streams
// through BlueZ, between machines that need neither be paired nor have a network.
package bluetooth

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"kozo"
)

type options struct {
	UUID    string `option:"uuid" doc:"UUID that identifies the service of this node, as uuidgen prints one. Choose one for each node."`
	Address string `option:"address" default:"" doc:"Address of the Bluetooth adapter of the node, such as 00:11:22:AA:BB:CC. Without it others search for devices in range and ask each for the uuid, which takes longer, and works when the address changes."`
	Adapter string `option:"adapter" default:"" doc:"Adapter to use, by name (hci0) or address, if the machine has several. All of them if it is not given."`
	Backlog int    `option:"socketConnectionBacklog" default:"0" min:"0" max:"65535" doc:"Most connections that wait to be accepted. 16 if it is 0."`
}

const defaultBacklog = 16

// Type returns the bluetooth transport.
func Type() kozo.TransportType {
	return kozo.DefineTransport("bluetooth",
		"Connections over Bluetooth, for machines that have no network in common. Needs Linux with BlueZ; devices need not be paired.", build)
}

type transport struct {
	options
	memory
}

var (
	_ kozo.Transport   = (*transport)(nil)
	_ kozo.Prioritized = (*transport)(nil)
	_ kozo.Timed       = (*transport)(nil)
	_ kozo.Binder      = (*transport)(nil)
)

var (
	uuidPattern    = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	addressPattern = regexp.MustCompile(`^([0-9A-F]{2}:){5}[0-9A-F]{2}$`)
	adapterPattern = regexp.MustCompile(`^hci[0-9]{1,3}$`)
)

// assigned is how UUIDs end that Bluetooth itself has given a meaning.
const assigned = "-0000-1000-8000-00805f9b34fb"

func build(o options) (kozo.Transport, error) {
	o.UUID, o.Address = strings.ToLower(o.UUID), strings.ToUpper(o.Address)
	if !uuidPattern.MatchString(o.UUID) {
		return nil, kozo.Errorf("uuid", "%q is no UUID; uuidgen makes one, such as 6f9f2a4e-3c1d-4f0b-9a52-0d6c5b1e7a11", o.UUID)
	}
	if strings.HasSuffix(o.UUID, assigned) {
		return nil, kozo.Errorf("uuid", "%s is one that Bluetooth itself gives a meaning; make a random one with uuidgen", o.UUID)
	}
	if o.Address != "" && !addressPattern.MatchString(o.Address) {
		return nil, kozo.Errorf("address", "%q is no Bluetooth address; bluetoothctl list shows those of a machine, such as 00:11:22:AA:BB:CC", o.Address)
	}
	if o.Adapter != "" && !adapterPattern.MatchString(o.Adapter) && !addressPattern.MatchString(strings.ToUpper(o.Adapter)) {
		return nil, kozo.Errorf("adapter", "%q is neither the name of an adapter, such as hci0, nor an address, such as 00:11:22:AA:BB:CC", o.Adapter)
	}
	t := &transport{options: o}
	t.memory.init()
	return t, nil
}

// Endpoints returns the uuid, with the address before it if there is one.
func (t *transport) Endpoints() []string {
	if t.Address == "" {
		return []string{t.UUID}
	}
	return []string{t.Address + "/" + t.UUID}
}

func parseEndpoint(endpoint string) (address, uuid string, err error) {
	address, uuid, ok := strings.Cut(endpoint, "/")
	if !ok {
		address, uuid = "", endpoint
	}
	if !uuidPattern.MatchString(uuid) || ok && !addressPattern.MatchString(address) {
		return "", "", fmt.Errorf("%q is no endpoint of a bluetooth transport", endpoint)
	}
	return address, uuid, nil
}

func (t *transport) Priority() kozo.Priority { return kozo.Fair }

// Times allows for a search, which takes up to 16 s, for machines that do not
// answer, each 5 s, and for a slow radio.
func (t *transport) Times(string) kozo.Times {
	return kozo.Times{Dial: 90 * time.Second, Handshake: 30 * time.Second, Silence: 30 * time.Second}
}

func (t *transport) Binds() []string { return []string{"bluetooth " + t.UUID} }
