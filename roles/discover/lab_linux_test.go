package discover

import (
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"kozo"
	"kozo/internal/bluez"
	"kozo/internal/vmlab"
	"kozo/kozotest"
)

const patience = 2 * time.Minute

// TestInLab runs the role with the real bluetoothd: hci0 searches, and hci1 is
// what it finds.
func TestInLab(t *testing.T) {
	vmlab.Run(t, vmlab.Lab{Controllers: 2}, func(t *testing.T) {
		far := prepare(t)
		values := kozo.Values{"adapter": "hci0", "searchDuration": 3 * time.Second, "cooldown": time.Second}
		r := start(t, values)
		t.Run("comes", func(t *testing.T) {
			far.set(t, "Alias", "doorbell")
			far.set(t, "DiscoverableTimeout", uint32(0))
			far.set(t, "Discoverable", true)
			r.Wait("the device", func() bool { return r.Said("device in range: doorbell (" + far.Address + ")") })
			r.Wait("an event", func() bool {
				return r.Said(`"address":"`+far.Address+`"`) && r.Said(`"name":"doorbell"`) && r.Said(`"adapter":"hci0"`) && r.Said(`"rssi":`)
			})
		})
		t.Run("changes its name", func(t *testing.T) {
			far.set(t, "Alias", "back door")
			r.Wait("the name", func() bool {
				return r.Said("Bluetooth device " + far.Address + " is now called back door, and was doorbell")
			})
		})
		t.Run("bluetoothd comes back", func(t *testing.T) {
			vmlab.Bluetoothd.Stop(t)
			r.Wait("an interruption", func() bool { return strings.Contains(r.Log(), "interrupted") })
			vmlab.Bluetoothd.Start(t)
			far = prepare(t)
			far.set(t, "Discoverable", true)
			before := events(r)
			r.Wait("events", func() bool { return events(r) >= before+2 })
			if r.Said("out of range") {
				t.Error("a device is declared gone because bluetoothd was")
			}
		})
		t.Run("goes", func(t *testing.T) {
			far.set(t, "Discoverable", false)
			r.Wait("the news", func() bool { return r.Said("device out of range: back door (" + far.Address + ")") })
		})
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		t.Run("known but hidden", func(t *testing.T) {
			far.connectable(t)
			r := start(t, kozo.Values{"adapter": "hci0", "searchDuration": time.Second, "cooldown": time.Second, "misses": 1,
				"known": kozo.List{strings.ToLower(far.Address), "00:11:22:33:44:55"}})
			r.Wait("the device", func() bool { return r.Said("device in range: ") && r.Said(`"known":true`) })
			if r.Said("00:11:22:33:44:55") {
				t.Error("a device that does not exist is in range")
			}
			far.set(t, "Powered", false)
			r.Wait("its end", func() bool { return r.Said("device out of range: ") })
		})
		t.Run("no adapter", func(t *testing.T) {
			r := start(t, kozo.Values{"adapter": "hci7"})
			ended(t, r, "there is no Bluetooth adapter hci7, only hci0")
		})
		t.Run("unplugged", func(t *testing.T) {
			r := start(t, values)
			r.Wait("an event", func() bool { return events(r) > 0 })
			vmlab.Radio.Stop(t)
			ended(t, r, "no Bluetooth adapter")
			vmlab.Radio.Start(t)
			prepare(t)
			r = start(t, values)
			r.Wait("an event", func() bool { return events(r) > 0 })
		})
		t.Run("no bluetoothd", func(t *testing.T) {
			vmlab.Bluetoothd.Stop(t)
			ended(t, start(t, values), "bluetoothd")
		})
	})
}

func start(t *testing.T, values kozo.Values) *kozotest.RoleRun {
	t.Helper()
	return kozotest.RunRole(t, kozotest.Make(t, Type(), values), kozotest.Options{Patience: patience})
}

func events(r *kozotest.RoleRun) (n int) {
	for _, m := range r.Sent() {
		if m.Kind == kozo.Event {
			n++
		}
	}
	return n
}

// ended expects that the role ends, and says why.
func ended(t *testing.T, r *kozotest.RoleRun, why string) {
	t.Helper()
	if err := r.End(); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("the role ends with %v, want %q in it", err, why)
	}
}

// other is the adapter that is to be found.
type other struct {
	bluez.Adapter
	bus *dbus.Conn
}

// prepare waits for both adapters, and returns the second one.
func prepare(t *testing.T) *other {
	t.Helper()
	far := &other{}
	vmlab.Eventually(t, patience, "bluetoothd has two adapters with power", func() bool {
		b, err := bluez.Open(t.Context())
		if err != nil {
			return false
		}
		defer b.Close()
		all := b.Adapters()
		if len(all) != 2 {
			return false
		}
		for _, a := range all {
			if b.PowerOn(t.Context(), a) != nil {
				return false
			}
		}
		far.Adapter = all[1]
		return true
	})
	var err error
	if far.bus, err = dbus.ConnectSystemBus(); err != nil {
		t.Fatal(err)
	}
	return far
}

func (o *other) set(t *testing.T, property string, value any) {
	t.Helper()
	if err := o.bus.Object("org.bluez", o.Path).SetProperty("org.bluez.Adapter1."+property, dbus.MakeVariant(value)); err != nil {
		t.Fatalf("%s: %v", property, err)
	}
}

// connectable lets the adapter answer who knows its address, though it does not
// show itself: as phones do. bluetoothd has no word for it, but the kernel has
// (doc/mgmt-api.txt of BlueZ, Set Connectable Command).
func (o *other) connectable(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_BLUETOOTH, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.BTPROTO_HCI)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrHCI{Dev: 0xffff, Channel: unix.HCI_CHANNEL_CONTROL}); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte{7, 0, 1, 0, 1, 0, 1}); err != nil { // of hci1
		t.Fatal(err)
	}
}
