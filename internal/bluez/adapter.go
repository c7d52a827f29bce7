package bluez

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Choose returns the adapters that a person means: by name (hci0), by address, or
// all of them if which is empty. The error says which there are.
func (b *Bus) Choose(which string) ([]Adapter, error) {
	all := b.Adapters()
	if len(all) == 0 {
		return nil, errors.New("this machine has no Bluetooth adapter that works; plug one in, or see whether the kernel found it with bluetoothctl list")
	}
	if which == "" {
		return all, nil
	}
	var names []string
	for _, a := range all {
		if strings.EqualFold(a.Name, which) || strings.EqualFold(a.Address, which) {
			return []Adapter{a}, nil
		}
		names = append(names, a.Name+" ("+a.Address+")")
	}
	return nil, fmt.Errorf("there is no Bluetooth adapter %s, only %s", which, strings.Join(names, ", "))
}

// powerTimeout is how long an adapter may take until it has power. bluetoothd
// itself does it at its start, and answers Busy meanwhile.
const powerTimeout = 5 * time.Second

// PowerOn gives an adapter power. The error says if it is blocked.
func (b *Bus) PowerOn(ctx context.Context, a Adapter) error {
	ctx, cancel := context.WithTimeoutCause(ctx, powerTimeout, fmt.Errorf("the Bluetooth adapter %s does not come up", a.Name))
	defer cancel()
	for {
		now, ok := b.Adapter(a.Path)
		switch {
		case !ok:
			return fmt.Errorf("the Bluetooth adapter %s is gone", a.Name)
		case now.Powered:
			return nil
		}
		if err := blocked(a.Name); err != nil {
			return err
		}
		err := b.set(ctx, a.Path, adapterIface, "Powered", true)
		if err != nil && !isBusy(err) {
			return fmt.Errorf("cannot switch the Bluetooth adapter %s on: %w", a.Name, err)
		}
		wait, done := context.WithTimeout(ctx, 500*time.Millisecond)
		_ = b.Await(wait, func() bool {
			now, ok := b.Adapter(a.Path)
			return !ok || now.Powered
		})
		done()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if b.Err() != nil {
			return b.Err()
		}
	}
}

// SetDiscoverable makes an adapter visible, for good, or stops that. An adapter
// that is not visible takes connections from devices that it trusts only.
func (b *Bus) SetDiscoverable(ctx context.Context, a Adapter, on bool) error {
	if on {
		if err := b.set(ctx, a.Path, adapterIface, "DiscoverableTimeout", uint32(0)); err != nil {
			return fmt.Errorf("cannot keep the Bluetooth adapter %s visible: %w", a.Name, err)
		}
	}
	if err := b.set(ctx, a.Path, adapterIface, "Discoverable", on); err != nil {
		return fmt.Errorf("cannot make the Bluetooth adapter %s visible: %w", a.Name, err)
	}
	return nil
}

// Search is how to search for devices.
type Search struct {
	// Transport is "bredr" for classic Bluetooth, which is what can carry
	// streams, "le" for low energy, "auto" for both, which takes longer.
	Transport string

	// Found is called at each change, and ends the search early by returning
	// true. It may be nil.
	Found func() bool
}

// Discover searches for devices until Found says that it is enough, or ctx ends,
// which is no error. Meanwhile, [Device].Heard tells which ones are in range; at
// the end of the last search bluetoothd forgets it. Others may search at the same
// time.
func (b *Bus) Discover(ctx context.Context, adapter dbus.ObjectPath, s Search) error {
	filter := map[string]dbus.Variant{"Transport": dbus.MakeVariant(s.Transport)}
	if err := b.quick(ctx, adapter, adapterIface+".SetDiscoveryFilter", filter); err != nil {
		return fmt.Errorf("cannot search for Bluetooth devices: %w", err)
	}
	if err := b.quick(ctx, adapter, adapterIface+".StartDiscovery"); err != nil {
		return fmt.Errorf("cannot search for Bluetooth devices: %w", err)
	}
	found := s.Found
	if found == nil {
		found = func() bool { return false }
	}
	err := b.Await(ctx, func() bool {
		_, there := b.Adapter(adapter)
		return !there || found()
	})
	if ctx.Err() != nil && b.Err() == nil {
		err = nil
	}
	if _, there := b.Adapter(adapter); err == nil && !there {
		return errors.New("the Bluetooth adapter is gone")
	}
	// ctx may have ended, and the radio should be quiet again all the same.
	stop := context.WithoutCancel(ctx)
	if b.Err() == nil {
		_ = b.quick(stop, adapter, adapterIface+".StopDiscovery")
	}
	return err
}

// Forget makes bluetoothd forget a device.
func (b *Bus) Forget(ctx context.Context, d Device) error {
	return b.quick(ctx, d.Adapter, adapterIface+".RemoveDevice", d.Path)
}
