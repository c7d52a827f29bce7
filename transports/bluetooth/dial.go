package bluetooth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"kozo"
	"kozo/internal/bluez"
)

// A search is short first, since most devices are heard soon, and then a little
// longer than an inquiry takes, which is how adapters search.
const (
	shortSearch = 4 * time.Second
	longSearch  = 12 * time.Second
)

// attemptTime bounds the attempt to reach one device. The radio itself gives up
// after 5 s, and services are asked for before the connection.
const attemptTime = 20 * time.Second

// Dial connects to the service of a peer: to the device with its address, else to
// one that is known to have the uuid, else to one that a search finds.
func (t *transport) Dial(ctx context.Context, env *kozo.TransportEnv, endpoint string) (net.Conn, error) {
	address, uuid, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	select {
	case t.radio <- struct{}{}:
		defer func() { <-t.radio }()
	case <-ctx.Done():
		return nil, fmt.Errorf("the radio was busy with other peers: %w", ctx.Err())
	}
	bus, err := bluez.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer bus.Close()
	adapters, err := t.adapters(ctx, bus)
	if err != nil {
		return nil, err
	}
	d := &dialling{transport: t, bus: bus, adapters: adapters, address: address, uuid: uuid, seen: map[bluez.Path]bool{}}
	s, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// adapters are those that can be used.
func (t *transport) adapters(ctx context.Context, bus *bluez.Bus) ([]bluez.Adapter, error) {
	chosen, err := bus.Choose(t.Adapter)
	if err != nil {
		return nil, err
	}
	var usable []bluez.Adapter
	var errs []error
	for _, a := range chosen {
		if err := bus.PowerOn(ctx, a); err != nil {
			errs = append(errs, err)
			continue
		}
		usable = append(usable, a)
	}
	if len(usable) == 0 {
		return nil, errors.Join(errs...)
	}
	return usable, nil
}

// dialling is one attempt to reach a peer.
type dialling struct {
	*transport
	bus      *bluez.Bus
	adapters []bluez.Adapter
	address  string // empty: any device with the uuid
	uuid     string
	seen     map[bluez.Path]bool // devices that were tried
	asked    int                 // devices that turned out to be none of ours
	errs     []string            // what became of the devices that were tried
}

func (d *dialling) dial(ctx context.Context) (*bluez.Stream, error) {
	var search []bluez.Adapter
	for _, a := range d.adapters {
		if a.Address == d.address {
			continue // it cannot hear itself
		}
		devices := d.known(a)
		if s := d.try(ctx, devices); s != nil {
			return s, nil
		}
		if d.address == "" || len(devices) == 0 {
			search = append(search, a)
		}
	}
	if len(search) > 0 {
		if s := d.searchAndTry(ctx, search); s != nil {
			return s, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case d.bus.Err() != nil:
		return nil, d.bus.Err()
	case len(d.errs) == 0 && d.address == "":
		return nil, fmt.Errorf("no device in range offers the service; %d were asked", d.asked)
	case len(d.errs) == 0:
		return nil, errors.New("it is not in range, or not visible")
	}
	return nil, errors.New(strings.Join(d.errs, "; "))
}

// known are the devices that the peer may be by what bluetoothd remembers.
func (d *dialling) known(a bluez.Adapter) []bluez.Device {
	byAddress := map[string]bluez.Device{}
	var addresses []string
	for _, device := range d.bus.Devices(a.Path) {
		if d.wants(device) {
			byAddress[device.Address] = device
			addresses = append(addresses, device.Address)
		}
	}
	d.inTurn(addresses, d.uuid)
	var devices []bluez.Device
	for _, address := range addresses {
		devices = append(devices, byAddress[address])
	}
	return devices
}

func (d *dialling) searchAndTry(ctx context.Context, adapters []bluez.Adapter) *bluez.Stream {
	if err := d.tooSoon(time.Now()); err != nil {
		d.errs = append(d.errs, err.Error())
		return nil
	}
	for _, limit := range []time.Duration{shortSearch, longSearch} {
		devices, err := d.search(ctx, adapters, limit)
		if err != nil {
			d.errs = append(d.errs, err.Error())
			return nil
		}
		if s := d.try(ctx, devices); s != nil {
			return s
		}
		if ctx.Err() != nil || d.bus.Err() != nil {
			return nil
		}
	}
	d.searchedAt(time.Now())
	return nil
}

// search searches with adapters until the peer is found, or all that are in
// range were. It returns those that may be the peer, the likeliest first.
func (d *dialling) search(ctx context.Context, adapters []bluez.Adapter, limit time.Duration) ([]bluez.Device, error) {
	var likely, others []bluez.Device
	for _, a := range adapters {
		heard := map[bluez.Path]bluez.Device{}
		found := func() bool {
			enough := false
			for _, device := range d.bus.Devices(a.Path) {
				if device.Heard {
					heard[device.Path] = device
					enough = enough || d.wants(device)
				}
			}
			return enough
		}
		search, cancel := context.WithTimeout(ctx, limit)
		err := d.bus.Discover(search, a.Path, bluez.Search{Transport: "bredr", Found: found})
		cancel()
		if err != nil {
			return nil, err
		}
		for _, device := range heard {
			switch {
			case d.wants(device):
				likely = append(likely, device)
			case d.address == "" && !slices.ContainsFunc(others, func(o bluez.Device) bool { return o.Address == device.Address }):
				others = append(others, device)
			}
		}
		if len(likely) > 0 {
			return likely, nil
		}
	}
	// The nearest are the likeliest.
	slices.SortFunc(others, func(a, b bluez.Device) int { return cmp.Compare(b.RSSI, a.RSSI) })
	return others, nil
}

// wants says whether a device is, or is likely to be, the peer.
func (d *dialling) wants(device bluez.Device) bool {
	return device.Address == d.address || d.address == "" && slices.Contains(device.UUIDs, d.uuid)
}

// try connects to the first of some devices that has the service.
func (d *dialling) try(ctx context.Context, devices []bluez.Device) *bluez.Stream {
	for _, device := range devices {
		if ctx.Err() != nil || d.bus.Err() != nil {
			return nil
		}
		wanted := d.wants(device)
		if d.seen[device.Path] || !wanted && d.isStranger(device.Address, d.uuid, time.Now()) {
			continue
		}
		d.seen[device.Path] = true
		d.triedAt(device.Address, d.uuid, time.Now())
		attempt, cancel := context.WithTimeout(ctx, attemptTime)
		s, err := d.bus.Connect(attempt, device, d.uuid)
		cancel()
		switch {
		case err == nil:
			return s
		case wanted:
			d.errs = append(d.errs, device.Address+": "+err.Error())
		default: // somebody else's headphones
			d.asked++
			if errors.Is(err, bluez.ErrNoService) {
				d.strangerAt(device.Address, d.uuid, time.Now())
			}
			if !device.Paired && !device.Trusted {
				_ = d.bus.Forget(ctx, device) // it was asked, and is not known for more
			}
		}
	}
	return nil
}
