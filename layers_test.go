package kozo_test

import (
	"maps"
	"slices"
	"testing"
)

// rooms is the map of the house: for every package what it may import of Kōzō
// itself. "." is the vocabulary, the root package. It is drawn, with the reasons,
// in docs/architecture.md.
var rooms = map[string][]string{
	".": {},

	// Front doors.
	"cmd/kozo":           {"cli", "standard"},
	"cli":                {".", "cli/internal/fleet", "cli/internal/spool", "cli/internal/stage", "cli/internal/term", "cli/internal/view", "internal/config", "internal/control", "internal/extern", "internal/extern/trial", "internal/hostnet", "internal/node", "internal/resolve", "internal/sdnotify", "internal/secure", "internal/status", "internal/system", "internal/tidy"},
	"cli/internal/fleet": {},
	"cli/internal/spool": {},
	"cli/internal/stage": {".", "cli/internal/fleet", "internal/config", "internal/control", "internal/node", "internal/secure", "internal/status", "internal/system"},
	"cli/internal/term":  {},
	"cli/internal/view":  {".", "cli/internal/term", "internal/secure", "internal/status", "internal/system"},
	"internal/control":   {".", "internal/status"},

	// The node: wiring only. It may use everything below it.
	"internal/node": {".", "internal/gate", "internal/hostnet", "internal/link", "internal/queue", "internal/resolve", "internal/rolehost", "internal/router", "internal/secure", "internal/status", "internal/storage", "internal/supervise", "internal/system", "internal/turns", "internal/wire"},

	// Moving parts: each can be tested alone, none knows another.
	"internal/link":     {".", "internal/queue", "internal/status", "internal/wire"},
	"internal/router":   {"."},
	"internal/rolehost": {".", "internal/queue", "internal/status", "internal/supervise"},

	"internal/extern":          {".", "internal/extern/carry", "internal/extern/program", "internal/extern/protocol", "internal/extern/talk"},
	"internal/extern/carry":    {".", "internal/extern/protocol", "internal/extern/talk"},
	"internal/extern/process":  {},
	"internal/extern/program":  {"internal/extern/process", "internal/extern/protocol", "sdk/python"},
	"internal/extern/protocol": {"."},
	"internal/extern/talk":     {".", "internal/extern/process", "internal/extern/protocol"},
	"internal/extern/trial":    {".", "internal/extern", "internal/extern/program", "internal/extern/protocol", "internal/extern/talk"},

	// The description: plain values.
	"internal/config":       {".", "internal/config/shape", "internal/config/tree", "internal/secure", "internal/system"},
	"internal/config/shape": {".", "internal/system"},
	"internal/config/tree":  {},
	"internal/system":       {"."},

	// Mechanisms.
	"internal/gate":      {},
	"internal/hostnet":   {".", "internal/resolve"},
	"internal/bluez":     {},
	"internal/memnet":    {"."},
	"internal/queue":     {},
	"internal/resolve":   {},
	"internal/sdnotify":  {},
	"internal/secure":    {"."},
	"internal/status":    {},
	"internal/storage":   {"."},
	"internal/supervise": {},
	"internal/tidy":      {},
	"internal/turns":     {},
	"internal/torlab":    {},
	"internal/wire":      {"."},

	// For tests: several hosts, and a virtual machine with Bluetooth and GPIO.
	"internal/netlab":        {},
	"internal/vmlab":         {"internal/vmlab/machine"},
	"internal/vmlab/machine": {},
	"internal/vmlab/cp2112":  {},

	// For authors of roles and transports, and what ships.
	"kozotest":                        {".", "internal/hostnet", "internal/memnet", "internal/resolve"},
	"roles/cuckoo":                    {"."},
	"roles/debugger":                  {".", "roles/debugger/internal/console", "roles/debugger/internal/door"},
	"roles/debugger/internal/console": {"."},
	"roles/debugger/internal/door":    {"roles/debugger/internal/console"},
	"roles/discover":                  {".", "internal/bluez"},
	"roles/injector":                  {"."},
	"roles/logger":                    {"."},
	"roles/motion":                    {"."},
	"roles/timer":                     {"."},
	"transports/bluetooth":            {".", "internal/bluez"},
	"transports/tcp":                  {".", "transports/internal/onionname", "transports/internal/socks"},
	"sdk/python":                      {},
	// What transports share.
	"transports/internal/onionname":     {},
	"transports/onion":                  {".", "transports/internal/onionname", "transports/internal/socks", "transports/onion/internal/control"},
	"transports/onion/internal/control": {},
	"transports/internal/socks":         {"."},
	"standard":                          {".", "roles/cuckoo", "roles/debugger", "roles/discover", "roles/injector", "roles/logger", "roles/motion", "roles/timer", "transports/bluetooth", "transports/onion", "transports/tcp"},

	// Programs that show how, and know nothing of the house.
	"examples/roles/uptime": {},

	// Programs of others, as the pages for authors show them.
	"examples/greenhouse":            {".", "cli", "examples/greenhouse/thermostat", "examples/greenhouse/unixsocket", "standard"},
	"examples/greenhouse/thermostat": {"."},
	"examples/greenhouse/unixsocket": {"."},

	// A kozo with roles that the tests between hosts need.
	"hosts/peer": {".", "cli", "standard"},

	// Beside the house: a program of its own that measures.
	"bench":                  {".", "cli", "standard", "bench/internal/traffic", "internal/config", "internal/hostnet", "internal/node", "internal/resolve", "internal/secure", "internal/status", "internal/torlab", "internal/vmlab/machine", "internal/wire"},
	"bench/internal/traffic": {".", "internal/wire"},
}

// guests are the modules of others, and which rooms they are let into.
var guests = map[string][]string{
	"github.com/godbus/dbus":            {"internal/bluez"},
	"github.com/google/renameio":        {"internal/storage"},
	"github.com/itchyny/timefmt":        {"roles/logger"},
	"github.com/spf13/cobra":            {"cli"},
	"github.com/tinylib/msgp":           {".", "internal/wire"},
	"github.com/warthog618/go-gpiocdev": {"roles/motion"},
	"go.starlark.net":                   {"roles/injector"},
	"go.yaml.in/yaml":                   {"internal/config/tree"},
	"golang.org/x/crypto":               {"internal/secure", "roles/debugger/internal/door", "bench"},
	"golang.org/x/net":                  {"internal/resolve"},
	"golang.org/x/sys":                  {"internal/extern/process", "roles/discover"},
	"golang.org/x/term":                 {"roles/debugger/internal/door"},
}

func TestHouse(t *testing.T) {
	house := readHouse(t)
	for _, dir := range slices.Sorted(maps.Keys(rooms)) {
		if house[dir] == nil {
			t.Errorf("%s is on the map of layers_test.go and has no Go files", dir)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(house)) {
		for _, fault := range house[dir].faults() {
			t.Error(fault)
		}
	}
}
