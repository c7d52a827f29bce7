package bluez

import (
	"testing"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestObjects(t *testing.T) {
	o := objects{}
	path := dbus.ObjectPath("/org/bluez/hci0/dev_00_11_22_AA_BB_CC")
	props := func(pairs ...any) map[string]dbus.Variant {
		p := map[string]dbus.Variant{}
		for i := 0; i < len(pairs); i += 2 {
			p[pairs[i].(string)] = dbus.MakeVariant(pairs[i+1])
		}
		return p
	}
	added := &dbus.Signal{Name: objectManager + ".InterfacesAdded", Body: []any{path, map[string]map[string]dbus.Variant{
		deviceIface: props("Adapter", dbus.ObjectPath("/org/bluez/hci0"), "Address", "00:11:22:AA:BB:CC", "RSSI", int16(-60), "UUIDs", []string{"ABCD"}),
	}}}
	changed := &dbus.Signal{Path: path, Name: properties + ".PropertiesChanged", Body: []any{deviceIface, props("Name", "phone"), []string{"RSSI"}}}
	removed := &dbus.Signal{Name: objectManager + ".InterfacesRemoved", Body: []any{path, []string{deviceIface}}}

	if o.apply(changed) {
		t.Error("a change of what is not there counts")
	}
	if !o.apply(added) || !o.apply(changed) {
		t.Error("what is added or changed does not count")
	}
	d := newDevice(path, o[path][deviceIface])
	if d.Name != "phone" || d.Heard || d.Address != "00:11:22:AA:BB:CC" || d.UUIDs[0] != "abcd" {
		t.Errorf("%+v", d)
	}
	if !o.apply(removed) || len(o) != 0 {
		t.Errorf("what is removed is still there: %v", o)
	}
	for _, bad := range []*dbus.Signal{
		{Name: objectManager + ".InterfacesAdded", Body: []any{"x"}},
		{Name: objectManager + ".InterfacesAdded"},
		{Name: objectManager + ".InterfacesRemoved", Body: []any{path, 3}},
		{Name: properties + ".PropertiesChanged", Body: []any{1, 2, 3}},
		{Name: "org.example.Other", Body: []any{path}},
	} {
		if o.apply(bad) {
			t.Errorf("it follows %+v", bad)
		}
	}
	// A property of another type than expected is taken for none.
	if d := newDevice(path, props("Address", 3, "UUIDs", "x", "RSSI", "loud")); d.Address != "" || d.UUIDs != nil || d.RSSI != 0 {
		t.Errorf("%+v", d)
	}
}

func TestPaths(t *testing.T) {
	path := DevicePath("/org/bluez/hci0", "00:11:22:aa:bb:cc")
	if path != "/org/bluez/hci0/dev_00_11_22_AA_BB_CC" {
		t.Error(path)
	}
	if a := remoteAddress(path); a != "00:11:22:AA:BB:CC" {
		t.Error(a)
	}
}
