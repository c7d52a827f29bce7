// Package discover is the role bluetooth-discover, which says which Bluetooth
// devices are in range.
package discover

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"kozo"
)

// TypeName is what the type of a role block says to get this role.
const TypeName = "bluetooth-discover"

// EventType is the type of the events that the role sends.
const EventType = "bluetooth devices in range"

type options struct {
	Search   time.Duration `option:"searchDuration" default:"8" min:"1" max:"600" doc:"how long to search for devices"`
	Cooldown time.Duration `option:"cooldown" default:"30" min:"0" doc:"how long to leave the radio alone between two searches"`
	Log      bool          `option:"log" default:"true" doc:"send a log message when a device comes, goes or changes its name"`
	Adapter  string        `option:"adapter" default:"" doc:"adapter to search with, by name (hci0) or address; all of them if it is not given"`
	Known    kozo.List     `option:"known" default:"" doc:"addresses of devices to look for though they do not show themselves, such as phones"`
	Misses   int           `option:"misses" default:"2" min:"1" max:"1000" doc:"how many searches in a row must miss a device before it counts as gone"`
	Radio    string        `option:"radio" default:"classic" oneof:"classic,low-energy,both" doc:"sort of devices; those of low energy change their addresses all the time"`
}

// device is one that was found. Its JSON is what events have.
type device struct {
	Address   string   `json:"address"`
	Name      string   `json:"name,omitempty"`  // what it calls itself
	Alias     string   `json:"alias,omitempty"` // what people here call it, if that is another name
	Class     uint32   `json:"class,omitempty"`
	Kind      string   `json:"kind,omitempty"` // in a word
	RSSI      *int16   `json:"rssi,omitempty"` // dBm
	Adapter   string   `json:"adapter,omitempty"`
	Paired    bool     `json:"paired,omitempty"`
	Connected bool     `json:"connected,omitempty"`
	Services  []string `json:"services,omitempty"` // UUIDs
	Known     bool     `json:"known,omitempty"`    // it is on the list
	Missed    int      `json:"missed,omitempty"`   // searches since it was last found
}

// radio finds devices.
type radio interface {
	// Search searches for so long, and returns what it has found.
	Search(ctx context.Context, d time.Duration) ([]device, error)
	// Reach says whether a device answers, though it may not show itself.
	Reach(ctx context.Context, address string) (bool, error)
	Close() error
}

type discover struct {
	options
	open func(ctx context.Context, o options) (radio, error)

	mu    sync.Mutex
	found map[string]device // by address
}

var (
	_ kozo.Role      = (*discover)(nil)
	_ kozo.Publisher = (*discover)(nil)
	_ kozo.Exposer   = (*discover)(nil)
)

// Type returns the role type.
func Type() kozo.RoleType {
	return kozo.DefineRole(TypeName, "Says which Bluetooth devices are in range, and which come and go.",
		func(o options) (kozo.Role, error) {
			o.Known = slices.Clone(o.Known) // the values are shared
			for i, address := range o.Known {
				mac, err := net.ParseMAC(address)
				if err != nil || len(mac) != 6 {
					return nil, kozo.Errorf("known", "%q is no Bluetooth address, which looks like 00:11:22:AA:BB:CC", address)
				}
				o.Known[i] = strings.ToUpper(mac.String())
			}
			return &discover{options: o, open: openRadio, found: map[string]device{}}, nil
		})
}

// Publishes says what the role sends.
func (d *discover) Publishes() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Event, Type: EventType}}
}

// Vars shows the devices in range.
func (d *discover) Vars() map[string]any { return map[string]any{"devices": d.list()} }

func (d *discover) list() []device {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.found), func(a, b device) int { return cmp.Compare(a.Address, b.Address) })
}

// Interruptions that are over so soon are not worth forgetting who was in range:
// bluetoothd is being updated, an adapter is plugged into another socket.
const (
	retries    = 5
	retryPause = 2 * time.Second
)

// Run searches again and again. It fails when there is nothing to search with for
// some time.
func (d *discover) Run(ctx context.Context, env *kozo.Env) error {
	worked, failures := false, 0
	for {
		err := d.session(ctx, env, func() { worked, failures = true, 0 })
		if ctx.Err() != nil {
			return nil
		}
		if failures++; !worked || failures > retries {
			return err
		}
		if failures == 1 {
			env.Log.Warn("the search was interrupted", "err", err)
		}
		if wait(ctx, retryPause) != nil {
			return nil
		}
	}
}

// session searches with one radio until that fails. searched is called after
// each search.
func (d *discover) session(ctx context.Context, env *kozo.Env, searched func()) error {
	r, err := d.open(ctx, d.options)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		found, err := r.Search(ctx, d.Search)
		if err != nil {
			return err
		}
		if found, err = d.askKnown(ctx, r, found); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err() // it was cut short, and says nothing about who has gone
		}
		searched()
		if err := d.tell(env, found); err != nil {
			return err
		}
		if err := wait(ctx, d.Cooldown); err != nil {
			return err
		}
	}
}

// askKnown adds those on the list that do not show themselves and answer.
func (d *discover) askKnown(ctx context.Context, r radio, found []device) ([]device, error) {
	for i := range found {
		found[i].Known = slices.Contains(d.Known, found[i].Address)
	}
	for _, address := range d.Known {
		if ctx.Err() != nil || slices.ContainsFunc(found, func(f device) bool { return f.Address == address }) {
			continue
		}
		there, err := r.Reach(ctx, address)
		if err != nil {
			return nil, err
		}
		if there {
			found = append(found, device{Address: address, Known: true})
		}
	}
	return found, nil
}

// most bounds the devices that are remembered: whoever makes up addresses could
// send any number.
const most = 1000

// tell brings the devices in range up to date, and sends what has changed and the
// event.
func (d *discover) tell(env *kozo.Env, found []device) error {
	var news []string
	d.mu.Lock()
	for address, old := range d.found {
		if slices.ContainsFunc(found, func(f device) bool { return f.Address == address }) {
			continue
		}
		if old.Missed++; old.Missed < d.Misses {
			d.found[address] = old
			continue
		}
		delete(d.found, address)
		news = append(news, "Bluetooth device out of range: "+old.String())
	}
	for _, now := range found {
		old, there := d.found[now.Address]
		switch {
		case !there && len(d.found) >= most:
			continue
		case !there:
			news = append(news, "Bluetooth device in range: "+now.String())
		case now.Name == "":
			now.keep(old)
		case old.Name != "" && old.Name != now.Name:
			news = append(news, fmt.Sprintf("Bluetooth device %s is now called %s, and was %s", now.Address, kozo.Printable(now.Name), kozo.Printable(old.Name)))
		}
		d.found[now.Address] = now
	}
	d.mu.Unlock()
	if d.Log {
		slices.Sort(news)
		for _, line := range news {
			if err := env.Logf(kozo.Info, "%s", line); err != nil {
				return err
			}
		}
	}
	return env.Event(EventType, map[string]any{"devices": content(d.list())})
}

// keep fills in what was learnt in earlier searches: the next one need not hear
// the name again.
func (d *device) keep(old device) {
	d.Name, d.Alias = old.Name, cmp.Or(d.Alias, old.Alias)
	d.Class, d.Kind = cmp.Or(d.Class, old.Class), cmp.Or(d.Kind, old.Kind)
	if d.Services == nil {
		d.Services = old.Services
	}
}

// content is what an event has of the devices.
func content(devices []device) []any {
	list := []any{}
	for _, d := range devices {
		m := map[string]any{"address": d.Address, "known": d.Known, "missed": d.Missed, "paired": d.Paired, "connected": d.Connected}
		for name, text := range map[string]string{"name": d.Name, "alias": d.Alias, "kind": d.Kind, "adapter": d.Adapter} {
			if text != "" {
				m[name] = text
			}
		}
		if d.Class != 0 {
			m["class"] = int64(d.Class)
		}
		if d.RSSI != nil {
			m["rssi"] = int64(*d.RSSI)
		}
		if len(d.Services) > 0 {
			services := []any{}
			for _, s := range d.Services {
				services = append(services, s)
			}
			m["services"] = services
		}
		list = append(list, m)
	}
	return list
}

// String names a device for people.
func (d device) String() string {
	s := d.Address
	if name := cmp.Or(d.Alias, d.Name); name != "" {
		s = kozo.Printable(name) + " (" + d.Address + ")"
	}
	if d.Kind != "" {
		s += ", " + d.Kind
	}
	return s
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
