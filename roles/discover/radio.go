package discover

import (
	"context"
	"errors"
	"sync"
	"time"

	"kozo/internal/bluez"
)

// air is the radio of this machine, as bluetoothd has it.
type air struct {
	bus *bluez.Bus
	options
}

func openRadio(ctx context.Context, o options) (radio, error) {
	bus, err := bluez.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &air{bus, o}, nil
}

// Close closes the connection to bluetoothd.
func (a *air) Close() error { return a.bus.Close() }

// Search searches with all adapters that it may use, at the same time.
func (a *air) Search(ctx context.Context, d time.Duration) ([]device, error) {
	adapters, err := a.bus.Choose(a.Adapter)
	if err != nil {
		return nil, err
	}
	for _, adapter := range adapters {
		if err := a.bus.PowerOn(ctx, adapter); err != nil {
			return nil, err
		}
	}
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	heard := hearing{devices: map[string]device{}}
	errs := make([]error, len(adapters))
	var searches sync.WaitGroup
	for i, adapter := range adapters {
		searches.Go(func() {
			errs[i] = a.bus.Discover(limited, adapter.Path, bluez.Search{
				Transport: map[string]string{"classic": "bredr", "low-energy": "le", "both": "auto"}[a.Radio],
				Found: func() bool {
					for _, found := range a.bus.Devices(adapter.Path) {
						heard.add(adapter, found)
					}
					return heard.enough()
				},
			})
		})
	}
	searches.Wait()
	return heard.list(), errors.Join(errs...)
}

// hearing collects what several adapters hear.
type hearing struct {
	mu      sync.Mutex
	devices map[string]device
}

// add notes a device, if it was heard or is connected, as the adapter that hears
// it best has it.
func (h *hearing) add(adapter bluez.Adapter, d bluez.Device) {
	if !d.Heard && !d.Connected {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := device{
		Address: d.Address, Name: d.Name, Class: d.Class, Kind: kind(d), Adapter: adapter.Name,
		Paired: d.Paired, Connected: d.Connected, Services: d.UUIDs,
	}
	if d.Name != "" && d.Alias != d.Name {
		now.Alias = d.Alias
	}
	if d.Heard {
		now.RSSI = &d.RSSI
	}
	old, there := h.devices[d.Address]
	if there && old.Adapter != now.Adapter && old.RSSI != nil && (now.RSSI == nil || *now.RSSI < *old.RSSI) {
		return
	}
	h.devices[d.Address] = now
}

func (h *hearing) enough() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.devices) >= most
}

func (h *hearing) list() []device {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []device
	for _, d := range h.devices {
		list = append(list, d)
	}
	return list
}

// kind says in a word what a device is: by the major class of classic devices
// (Assigned Numbers of Bluetooth, 2.8), or by the icon that bluetoothd gives it.
func kind(d bluez.Device) string {
	kinds := []string{"", "computer", "phone", "network access point", "audio or video", "peripheral", "imaging", "wearable", "toy", "health"}
	if major := int(d.Class >> 8 & 0x1f); major < len(kinds) && kinds[major] != "" {
		return kinds[major]
	}
	return d.Icon
}
