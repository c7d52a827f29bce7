package bluez

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// Serve offers a service on all adapters, to everybody: nobody need be paired or
// authorised. take is given each connection, from several goroutines, and must
// not wait. It ends with b.
func (b *Bus) Serve(ctx context.Context, uuid, name string, take func(*Stream)) error {
	_, err := b.register(ctx, uuid, map[string]dbus.Variant{
		"Name":    dbus.MakeVariant(name),
		"Role":    dbus.MakeVariant("server"),
		"Channel": dbus.MakeVariant(uint16(0)), // any that is free; without it there is no server
		// Both are on unless they are switched off, and the latter needs an agent.
		"RequireAuthentication": dbus.MakeVariant(false),
		"RequireAuthorization":  dbus.MakeVariant(false),
	}, func(_ dbus.ObjectPath, s *Stream) bool {
		take(s)
		return true
	})
	if e, ok := errors.AsType[*Error](err); ok && (e.Name == "org.bluez.Error.NotPermitted" || e.Name == "org.bluez.Error.AlreadyExists") {
		return fmt.Errorf("another program of this machine offers the Bluetooth service %s; end it, or choose another uuid: %w", uuid, err)
	}
	return err
}

// ErrNoService says that a device is in range and does not offer the service.
var ErrNoService = errors.New("it does not offer the service")

// Connect connects to the service of a device. It takes as long as ctx allows:
// seconds if the device is in range.
func (b *Bus) Connect(ctx context.Context, d Device, uuid string) (*Stream, error) {
	w := waiter{streams: make(chan *Stream, 1)}
	// The profile lives as long as this call. So bluetoothd keeps no descriptor of
	// the connection, and it is nobody's but ours. It is registered under a UUID of
	// its own, since each can be registered once, and the own service or another
	// connection may have that of the device.
	path, err := b.register(ctx, newUUID(), map[string]dbus.Variant{
		"Name":                  dbus.MakeVariant("connects to " + uuid),
		"Role":                  dbus.MakeVariant("client"),
		"Service":               dbus.MakeVariant(uuid),
		"RequireAuthentication": dbus.MakeVariant(false),
		"RequireAuthorization":  dbus.MakeVariant(false),
	}, func(device dbus.ObjectPath, s *Stream) bool {
		return device == d.Path && w.take(s) // else it is meant for another with the same service
	})
	if err != nil {
		return nil, err
	}
	s, err := b.connect(ctx, d, uuid, w.streams)
	if err != nil {
		w.leave() // what comes now comes too late
	}
	b.unregister(ctx, path)
	return s, err
}

func (b *Bus) connect(ctx context.Context, d Device, uuid string, streams <-chan *Stream) (*Stream, error) {
	restore, err := b.trust(ctx, d)
	if err != nil {
		return nil, err
	}
	defer restore()
	// That the profile ends is what ends an attempt for which there is no more
	// time. DisconnectProfile would leave the device busy for ever.
	if err := b.call(ctx, d.Path, deviceIface+".ConnectProfile", uuid); err != nil {
		return nil, connectError(err)
	}
	select {
	case s := <-streams:
		return s, nil
	case <-time.After(callTimeout):
		return nil, errors.New("bluetoothd says that it is connected, and hands no connection over")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-b.ended:
		return nil, b.Err()
	}
}

// waiter waits for one stream, until it leaves.
type waiter struct {
	streams chan *Stream

	mu   sync.Mutex
	left bool
}

func (w *waiter) take(s *Stream) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left || len(w.streams) > 0 {
		return false
	}
	w.streams <- s
	return true
}

func (w *waiter) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = true
	select {
	case s := <-w.streams:
		s.Close()
	default:
	}
}

func connectError(err error) error {
	e, ok := errors.AsType[*Error](err)
	if ok && (e.Name == "org.bluez.Error.NotAvailable" || e.text == reasons["br-connection-profile-unavailable"] || e.text == reasons["br-connection-not-supported"]) {
		return ErrNoService
	}
	return err
}

// trust makes bluetoothd trust a device for the time of a connection attempt:
// otherwise it forgets a device that does not answer, and the attempt with it,
// which then never ends. Not for longer: a trusted device need not be authorised
// for other services.
func (b *Bus) trust(ctx context.Context, d Device) (restore func(), err error) {
	if d.Trusted {
		return func() {}, nil
	}
	restore = func() { _ = b.set(context.WithoutCancel(ctx), d.Path, deviceIface, "Trusted", false) }
	if err := b.set(ctx, d.Path, deviceIface, "Trusted", true); err != nil {
		restore() // it may have been too late only to be heard of
		return nil, err
	}
	return restore, nil
}

func (b *Bus) register(ctx context.Context, uuid string, options map[string]dbus.Variant, take func(dbus.ObjectPath, *Stream) bool) (dbus.ObjectPath, error) {
	b.mu.Lock()
	b.serial++
	path := dbus.ObjectPath(fmt.Sprintf("/kozo/profile%d", b.serial))
	b.profiles[path] = true
	b.mu.Unlock()
	if err := b.conn.Export(&profile{b, take}, path, profileIface); err != nil {
		return "", err
	}
	err := b.quick(ctx, "/org/bluez", profileManager+".RegisterProfile", path, uuid, options)
	if err != nil {
		b.unregister(ctx, path) // it may have been too late only to be heard of
	}
	return path, err
}

// unregister leaves the object where it is: a call with a descriptor may be on its
// way, and nobody would close that.
func (b *Bus) unregister(ctx context.Context, path dbus.ObjectPath) {
	b.mu.Lock()
	delete(b.profiles, path)
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
	defer cancel()
	_ = b.call(ctx, "/org/bluez", profileManager+".UnregisterProfile", path)
}

// unregisterAll takes back what was offered. bluetoothd does so by itself when
// somebody leaves the bus, but not if that was before it has looked at what they
// had registered last: nobody could offer that service again until it ends.
func (b *Bus) unregisterAll() {
	if b.Err() != nil {
		return
	}
	b.mu.Lock()
	paths := slices.Collect(maps.Keys(b.profiles))
	b.mu.Unlock()
	for _, path := range paths {
		b.unregister(context.Background(), path)
	}
}

// goodbyeTimeout is for what bluetoothd answers at once if it answers at all.
const goodbyeTimeout = 2 * time.Second

// profile is what bluetoothd calls when there is a connection.
type profile struct {
	bus  *Bus
	take func(device dbus.ObjectPath, s *Stream) bool
}

// NewConnection is called by bluetoothd.
func (p *profile) NewConnection(sender dbus.Sender, device dbus.ObjectPath, fd dbus.UnixFD, _ map[string]dbus.Variant) *dbus.Error {
	s, err := newStream(int(fd), p.bus.address(device), remoteAddress(device))
	if err != nil {
		return dbus.MakeFailedError(err)
	}
	if string(sender) != p.bus.owner || !p.take(device, s) {
		s.Close()
		return &dbus.Error{Name: "org.bluez.Error.Rejected"}
	}
	return nil
}

// RequestDisconnection is called by bluetoothd before it ends a connection.
func (p *profile) RequestDisconnection(dbus.ObjectPath) *dbus.Error { return nil }

// Release is called by bluetoothd when it ends. The bus says so too.
func (p *profile) Release() *dbus.Error { return nil }

// Addr is a Bluetooth address, as net.Addr.
type Addr string

// Network returns bluetooth.
func (Addr) Network() string { return "bluetooth" }

func (a Addr) String() string { return string(a) }

// remoteAddress reads the address of a device from its path,
// /org/bluez/hci0/dev_00_11_22_AA_BB_CC.
func remoteAddress(device dbus.ObjectPath) Addr {
	_, address, _ := strings.Cut(string(device), "/dev_")
	return Addr(strings.ReplaceAll(address, "_", ":"))
}

// address is that of the adapter that sees a device.
func (b *Bus) address(device dbus.ObjectPath) Addr {
	path, _, _ := strings.Cut(string(device), "/dev_")
	a, _ := b.Adapter(dbus.ObjectPath(path))
	return Addr(a.Address)
}

// newUUID returns a random UUID.
func newUUID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
