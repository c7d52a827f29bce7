package vmlab_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/warthog618/go-gpiocdev"

	"kozo/internal/vmlab"
	"kozo/internal/vmlab/cp2112"
)

func TestLab(t *testing.T) {
	vmlab.Run(t, vmlab.Lab{Controllers: 2, Files: map[string]string{"a-file": "machine/guest.sh"}}, func(t *testing.T) {
		t.Run("bluetoothd answers", func(t *testing.T) { awaitAdapters(t, 2) })
		t.Run("bluetoothd comes back", func(t *testing.T) {
			vmlab.Bluetoothd.Stop(t)
			vmlab.Bluetoothd.Start(t)
			awaitAdapters(t, 2)
		})
		t.Run("controllers can be unplugged", func(t *testing.T) {
			vmlab.Radio.Stop(t)
			awaitAdapters(t, 0)
			vmlab.Radio.Start(t)
			awaitAdapters(t, 2)
		})
		t.Run("the bus comes back", func(t *testing.T) {
			vmlab.Bus.Stop(t)
			vmlab.Bluetoothd.Stop(t) // it would end by itself
			vmlab.Bus.Start(t)
			vmlab.Bluetoothd.Start(t)
			awaitAdapters(t, 2)
		})
		t.Run("a chip has lines", testChip)
		t.Run("files are there", func(t *testing.T) {
			if text, err := os.ReadFile("a-file"); err != nil || !strings.HasPrefix(string(text), "#!/bin/busybox") {
				t.Error(err)
			}
		})
		t.Run("skipped", func(t *testing.T) { t.Skip("as it should be") })
	})
}

func awaitAdapters(t *testing.T, want int) {
	t.Helper()
	vmlab.Eventually(t, 30*time.Second, "the adapters are there", func() bool {
		bus, err := dbus.ConnectSystemBus()
		if err != nil {
			return false
		}
		defer bus.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var objects map[dbus.ObjectPath]map[string]map[string]dbus.Variant
		if bus.Object("org.bluez", "/").CallWithContext(ctx, "org.freedesktop.DBus.ObjectManager.GetManagedObjects", 0).Store(&objects) != nil {
			return false
		}
		n := 0
		for _, interfaces := range objects {
			if _, ok := interfaces["org.bluez.Adapter1"]; ok {
				n++
			}
		}
		return n == want
	})
}

func testChip(t *testing.T) {
	chip, err := cp2112.Plug()
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Unplug()
	name := ""
	vmlab.Eventually(t, 10*time.Second, "the chip is there", func() bool {
		for _, n := range gpiocdev.Chips() {
			if c, err := gpiocdev.NewChip(n); err == nil {
				if c.Label == cp2112.Label && c.Lines() == cp2112.Lines {
					name = n
				}
				c.Close()
			}
		}
		return name != ""
	})
	line, err := gpiocdev.RequestLine(name, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	for _, high := range []bool{true, false, true} {
		chip.Set(3, high)
		if v, err := line.Value(); err != nil || (v == 1) != high {
			t.Errorf("it is set to %v and reads %d, %v", high, v, err)
		}
	}
	out, err := gpiocdev.RequestLine(name, 5, gpiocdev.AsOutput(1))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if !chip.Level(5) {
		t.Error("an output that was set to high is low")
	}
}

func TestPair(t *testing.T) {
	vmlab.Run(t, vmlab.Lab{Machines: []string{"a", "b"}}, func(t *testing.T) {
		awaitAdapters(t, 1)
		vmlab.Post(t, "here is "+vmlab.Machine())
		other := map[string]string{"a": "b", "b": "a"}[vmlab.Machine()]
		vmlab.Await(t, "here is "+other, time.Minute)
	})
}
