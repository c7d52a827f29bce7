package bluez

import (
	"cmp"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// objects is what bluetoothd knows: properties by interface by object.
type objects map[dbus.ObjectPath]map[string]map[string]dbus.Variant

// apply follows a signal, and says whether it was about objects.
func (o objects) apply(s *dbus.Signal) bool {
	switch s.Name {
	case objectManager + ".InterfacesAdded":
		var path dbus.ObjectPath
		var added map[string]map[string]dbus.Variant
		if dbus.Store(s.Body, &path, &added) != nil {
			return false
		}
		if o[path] == nil {
			o[path] = map[string]map[string]dbus.Variant{}
		}
		for name, p := range added {
			o[path][name] = p
		}
	case objectManager + ".InterfacesRemoved":
		var path dbus.ObjectPath
		var removed []string
		if dbus.Store(s.Body, &path, &removed) != nil {
			return false
		}
		for _, name := range removed {
			delete(o[path], name)
		}
		if len(o[path]) == 0 {
			delete(o, path)
		}
	case properties + ".PropertiesChanged":
		var iface string
		var changed map[string]dbus.Variant
		var gone []string
		if dbus.Store(s.Body, &iface, &changed, &gone) != nil || o[s.Path][iface] == nil {
			return false
		}
		for name, value := range changed {
			o[s.Path][iface][name] = value
		}
		for _, name := range gone {
			delete(o[s.Path][iface], name)
		}
	default:
		return false
	}
	return true
}

// Path names an adapter or a device, for as long as bluetoothd knows it.
type Path = dbus.ObjectPath

// Adapter is a Bluetooth controller of this machine.
type Adapter struct {
	Path         dbus.ObjectPath
	Name         string // hci0
	Address      string // 00:11:22:AA:BB:CC
	Alias        string // what others see
	Powered      bool
	Discoverable bool
	Timeout      uint32 // seconds until it stops being discoverable; 0: never
	Discovering  bool   // somebody searches with it
}

// Device is a device that bluetoothd knows, as one adapter sees it.
type Device struct {
	Path      dbus.ObjectPath
	Adapter   dbus.ObjectPath
	Address   string
	Name      string // what it calls itself; maybe empty
	Alias     string // the name that people gave it, else its own, else its address
	Class     uint32 // of a device, as Bluetooth numbers them; 0: unknown
	Icon      string // its kind as the freedesktop icon, such as phone; maybe empty
	RSSI      int16  // how strong it was heard, in dBm, if Heard
	Heard     bool   // it was heard in the present search
	Paired    bool
	Trusted   bool
	Connected bool
	Resolved  bool     // UUIDs has all its services
	UUIDs     []string // of its services, as far as they are known, in lower case
}

// Adapters returns the controllers, by name.
func (b *Bus) Adapters() []Adapter {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Adapter
	for path, interfaces := range b.objects {
		p, ok := interfaces[adapterIface]
		if !ok {
			continue
		}
		list = append(list, Adapter{
			Path: path, Name: string(path[strings.LastIndexByte(string(path), '/')+1:]),
			Address: get[string](p, "Address"), Alias: get[string](p, "Alias"), Powered: get[bool](p, "Powered"),
			Discoverable: get[bool](p, "Discoverable"), Timeout: get[uint32](p, "DiscoverableTimeout"),
			Discovering: get[bool](p, "Discovering"),
		})
	}
	slices.SortFunc(list, func(a, b Adapter) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Adapter returns the present state of an adapter, and whether it is still there.
func (b *Bus) Adapter(path dbus.ObjectPath) (Adapter, bool) {
	for _, a := range b.Adapters() {
		if a.Path == path {
			return a, true
		}
	}
	return Adapter{}, false
}

// Devices returns the devices that an adapter knows, by address.
func (b *Bus) Devices(adapter dbus.ObjectPath) []Device {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Device
	for path, interfaces := range b.objects {
		p, ok := interfaces[deviceIface]
		if !ok || get[dbus.ObjectPath](p, "Adapter") != adapter {
			continue
		}
		list = append(list, newDevice(path, p))
	}
	slices.SortFunc(list, func(a, b Device) int { return cmp.Compare(a.Address, b.Address) })
	return list
}

// Device returns what is known of a device, and whether it is known at all.
func (b *Bus) Device(path dbus.ObjectPath) (Device, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.objects[path][deviceIface]
	if !ok {
		return Device{}, false
	}
	return newDevice(path, p), true
}

func newDevice(path dbus.ObjectPath, p map[string]dbus.Variant) Device {
	d := Device{
		Path: path, Adapter: get[dbus.ObjectPath](p, "Adapter"), Address: get[string](p, "Address"),
		Name: get[string](p, "Name"), Alias: get[string](p, "Alias"), Class: get[uint32](p, "Class"), Icon: get[string](p, "Icon"),
		RSSI: get[int16](p, "RSSI"), Paired: get[bool](p, "Paired"), Trusted: get[bool](p, "Trusted"),
		Connected: get[bool](p, "Connected"), Resolved: get[bool](p, "ServicesResolved"),
	}
	_, d.Heard = p["RSSI"]
	for _, uuid := range get[[]string](p, "UUIDs") {
		d.UUIDs = append(d.UUIDs, strings.ToLower(uuid))
	}
	return d
}

// get returns a property, or the zero value if it is not there or something else.
func get[T any](p map[string]dbus.Variant, name string) T {
	v, _ := p[name].Value().(T)
	return v
}

// DevicePath is where an adapter has the device with an address, if it knows it.
func DevicePath(adapter dbus.ObjectPath, address string) dbus.ObjectPath {
	return adapter + "/dev_" + dbus.ObjectPath(strings.ReplaceAll(strings.ToUpper(address), ":", "_"))
}
