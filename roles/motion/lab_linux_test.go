package motion

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/warthog618/go-gpiocdev"

	"kozo"
	"kozo/internal/vmlab"
	"kozo/internal/vmlab/cp2112"
	"kozo/kozotest"
)

const patience = time.Minute

// TestInLab runs the role on a real GPIO chip, which this test plays.
func TestInLab(t *testing.T) {
	vmlab.Run(t, vmlab.Lab{}, func(t *testing.T) {
		t.Run("no chip", func(t *testing.T) { refused(t, kozo.Values{}, "this machine has no GPIO chip") })
		chip := plug(t)
		t.Run("errors", func(t *testing.T) {
			refused(t, kozo.Values{}, "set chip to one of gpiochip0 ("+cp2112.Label+")")
			refused(t, kozo.Values{"chip": "nonsense"}, "there is no GPIO chip nonsense; set chip to one of gpiochip0")
			refused(t, kozo.Values{"chip": "/dev/nonsense"}, "there is no such file")
			refused(t, kozo.Values{"chip": "gpiochip0"}, "has no line 18: its lines are 0 to 7")
			refused(t, kozo.Values{"chip": "gpiochip0", "pin": "door"}, "has no line named door")
		})
		t.Run("line in use", func(t *testing.T) {
			l, err := gpiocdev.RequestLine("gpiochip0", 2, gpiocdev.WithConsumer("a doorbell"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			refused(t, kozo.Values{"chip": "gpiochip0", "pin": "2"}, `is in use by "a doorbell"`)
		})
		t.Run("no permission", withoutPermission)
		for _, by := range []string{"gpiochip0", "/dev/gpiochip0", cp2112.Label} {
			t.Run("motion by "+by, func(t *testing.T) {
				chip.Set(3, false)
				r := start(t, kozo.Values{"chip": by, "pin": "3", "period": 100 * time.Millisecond})
				r.Wait("an event", func() bool { return r.Said(`"motion":false`) })
				chip.Set(3, true)
				r.Wait("motion", func() bool { return r.Said(`"motion":true`) && r.Said("motion on pin 3") })
				chip.Set(3, false)
				r.Wait("its end", func() bool { return r.Said("no more motion on pin 3") })
			})
		}
		t.Run("active low", func(t *testing.T) {
			chip.Set(3, false)
			r := start(t, kozo.Values{"chip": "gpiochip0", "pin": "3", "activeLow": true})
			r.Wait("motion", func() bool { return r.Said(`"motion":true`) })
		})
		for name, debounce := range map[string]time.Duration{"edges": 0, "edges and debounce": 300 * time.Millisecond} {
			t.Run(name, func(t *testing.T) {
				chip.Set(4, false)
				r := start(t, kozo.Values{"chip": "gpiochip0", "pin": "4", "edges": true, "debounce": debounce, "period": time.Hour})
				r.Wait("the first event", func() bool { return r.Said(`"motion":false`) })
				chip.Set(4, true)
				r.Wait("motion", func() bool { return r.Said(`"motion":true`) })
				chip.Set(4, false)
				r.Wait("its end", func() bool { return r.Said("no more motion") && strings.Contains(last(r), `"motion":false`) })
			})
		}
		t.Run("unplugged and back", func(t *testing.T) {
			r := start(t, kozo.Values{"chip": "gpiochip0", "pin": "3", "edges": true, "period": 100 * time.Millisecond})
			r.Wait("an event", func() bool { return len(r.Sent()) > 0 })
			if err := chip.Unplug(); err != nil {
				t.Fatal(err)
			}
			if err := r.End(); err == nil || !strings.Contains(err.Error(), "pin 3 of gpiochip0 ("+cp2112.Label+") has gone: its chip was unplugged") {
				t.Errorf("unplugged, the role ends with %v", err)
			}
			chip = plug(t)
			chip.Set(3, true)
			again := start(t, kozo.Values{"chip": cp2112.Label, "pin": "3"}) // its number is another one now
			again.Wait("motion", func() bool { return again.Said(`"motion":true`) })
		})
	})
}

func plug(t *testing.T) *cp2112.Chip {
	t.Helper()
	chip, err := cp2112.Plug()
	if err != nil {
		t.Fatal(err)
	}
	vmlab.Eventually(t, patience, "the chip is there", func() bool { return len(gpiocdev.Chips()) == 1 })
	return chip
}

func start(t *testing.T, values kozo.Values) *kozotest.RoleRun {
	t.Helper()
	return kozotest.RunRole(t, kozotest.Make(t, Type(), values), kozotest.Options{Patience: patience})
}

// last returns the content of the last event.
func last(r *kozotest.RoleRun) (text string) {
	for _, m := range r.Sent() {
		if m.Kind == kozo.Event {
			text = m.Body.Text()
		}
	}
	return text
}

// refused expects that the role ends at once, and says why.
func refused(t *testing.T, values kozo.Values, want string) {
	t.Helper()
	if err := start(t, values).End(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v: the role ends with %v, want %q in it", values, err, want)
	}
}

// withoutPermission takes root's rights away from this thread for a moment.
func withoutPermission(t *testing.T) {
	if err := os.Chmod("/dev/gpiochip0", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Seteuid(65534); err != nil {
		t.Skip(err)
	}
	defer syscall.Seteuid(0)
	refused(t, kozo.Values{"chip": "gpiochip0", "pin": "2"}, "this user may not; become one")
}
