// Package bluez speaks to bluetoothd over the system's D-Bus: adapters and
// devices, searching for devices, and streams of bytes between services (RFCOMM).
//
// A [Bus] is one connection, with a picture of what bluetoothd knows that is
// always current. It ends when the bus or bluetoothd ends; whoever uses it comes
// back with a new one. No call takes longer than its context, nor than 15 s where
// it does not wait for the radio: bluetoothd leaves calls without an answer.
//
// It needs Linux. Elsewhere, and where there is no bluetoothd, [Open] says so.
package bluez

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names of D-Bus and of BlueZ.
const (
	service        = "org.bluez"
	adapterIface   = "org.bluez.Adapter1"
	deviceIface    = "org.bluez.Device1"
	profileIface   = "org.bluez.Profile1"
	profileManager = "org.bluez.ProfileManager1"
	objectManager  = "org.freedesktop.DBus.ObjectManager"
	properties     = "org.freedesktop.DBus.Properties"
	busIface       = "org.freedesktop.DBus"
)

const callTimeout = 15 * time.Second

// Bus is a connection to bluetoothd. It may be used from several goroutines.
type Bus struct {
	conn  *dbus.Conn
	owner string // the unique name of bluetoothd

	mu       sync.Mutex
	loaded   bool
	early    []*dbus.Signal // what came before the objects
	objects  objects
	changed  chan struct{}            // closed at the next change
	serial   int                      // of object paths of our own
	profiles map[dbus.ObjectPath]bool // those that bluetoothd may have
	ended    chan struct{}
	err      error
}

// Open connects to bluetoothd. The error says what is missing.
func Open(ctx context.Context) (*Bus, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	b := &Bus{objects: objects{}, profiles: map[dbus.ObjectPath]bool{}, changed: make(chan struct{}), ended: make(chan struct{})}
	life, end := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, end) // authentication has no limit of its own
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(life), dbus.WithSignalHandler(b))
	if err != nil {
		stop()
		end()
		return nil, fmt.Errorf("no D-Bus system bus, on which bluetoothd is found; install bluez and dbus: %w", err)
	}
	b.conn = conn
	if !stop() {
		b.Close()
		return nil, fmt.Errorf("the D-Bus system bus does not answer: %w", context.Cause(ctx))
	}
	if err := b.load(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bus) load(ctx context.Context) error {
	for _, rule := range []string{
		"type='signal',sender='" + service + "'",
		"type='signal',sender='" + busIface + "',member='NameOwnerChanged',arg0='" + service + "'",
	} {
		if err := b.conn.BusObject().CallWithContext(ctx, busIface+".AddMatch", 0, rule).Err; err != nil {
			return explain(err)
		}
	}
	var owner string
	if b.conn.BusObject().CallWithContext(ctx, busIface+".GetNameOwner", 0, service).Store(&owner) != nil {
		// Some systems start it at need.
		if err := b.conn.BusObject().CallWithContext(ctx, busIface+".StartServiceByName", 0, service, uint32(0)).Err; err != nil {
			return explain(err)
		}
		if err := b.conn.BusObject().CallWithContext(ctx, busIface+".GetNameOwner", 0, service).Store(&owner); err != nil {
			return explain(err)
		}
	}
	b.mu.Lock()
	b.owner = owner
	b.mu.Unlock()
	all := objects{}
	if err := b.conn.Object(service, "/").CallWithContext(ctx, objectManager+".GetManagedObjects", 0).Store(&all); err != nil {
		return explain(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects, b.loaded = all, true
	for _, s := range b.early {
		b.objects.apply(s)
	}
	b.early = nil
	return nil
}

// Close ends the connection, and what was begun over it. It takes two seconds if
// bluetoothd hangs.
func (b *Bus) Close() error {
	b.unregisterAll()
	err := b.conn.Close()
	b.fail(errClosed)
	return err
}

var errClosed = errors.New("the connection to bluetoothd was closed")

// Done is closed when the bus or bluetoothd has ended, or b was closed.
func (b *Bus) Done() <-chan struct{} { return b.ended }

// Err says why b has ended; nil while it has not.
func (b *Bus) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *Bus) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
		close(b.ended)
	}
}

// Await waits until a condition on what bluetoothd knows holds. It returns the
// error of the context, or why b has ended.
func (b *Bus) Await(ctx context.Context, holds func() bool) error {
	for {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		if holds() {
			return nil
		}
		select {
		case <-changed:
		case <-b.ended:
			return b.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// call calls a method of bluetoothd and waits for its answer, no longer than ctx.
func (b *Bus) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) error {
	return explain(b.conn.Object(b.owner, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...).Err)
}

// quick is call for what bluetoothd answers without the radio.
func (b *Bus) quick(ctx context.Context, path dbus.ObjectPath, method string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return b.call(ctx, path, method, args...)
}

func (b *Bus) set(ctx context.Context, path dbus.ObjectPath, iface, property string, value any) error {
	return b.quick(ctx, path, properties+".Set", iface, property, dbus.MakeVariant(value))
}

var (
	_ dbus.SignalHandler = (*Bus)(nil)
	_ dbus.Terminator    = (*Bus)(nil)
)

// DeliverSignal is called by package dbus for each signal, in order.
func (b *Bus) DeliverSignal(_, _ string, s *dbus.Signal) {
	if s.Sender == busIface {
		if s.Name == busIface+".NameOwnerChanged" && len(s.Body) == 3 && s.Body[0] == service && s.Body[1] != "" {
			b.fail(errors.New("bluetoothd has ended"))
			b.conn.Close()
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case s.Sender != b.owner:
		return
	case !b.loaded:
		b.early = append(b.early, s)
		return
	}
	if b.objects.apply(s) {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

// Terminate is called by package dbus when the connection has ended.
func (b *Bus) Terminate() { b.fail(errors.New("the D-Bus system bus has ended")) }
