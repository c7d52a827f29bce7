package bluetooth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kozo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testUUID = "6f9f2a4e-3c1d-4f0b-9a52-0d6c5b1e7a11"

// values are options as a file gives them, the rest by default.
func values(pairs ...string) kozo.Values {
	v := kozo.Values{"uuid": testUUID, "address": "", "adapter": "", "socketConnectionBacklog": 0}
	for i := 0; i < len(pairs); i += 2 {
		v[pairs[i]] = pairs[i+1]
	}
	return v
}

func newTransport(t *testing.T, pairs ...string) *transport {
	t.Helper()
	tr, err := Type().New(values(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return tr.(*transport)
}

func TestOptions(t *testing.T) {
	for _, c := range []struct{ option, value, want string }{
		{"uuid", "tick", `uuid: "tick" is no UUID`},
		{"uuid", "", `uuid: "" is no UUID`},
		{"uuid", "{6f9f2a4e-3c1d-4f0b-9a52-0d6c5b1e7a11}", "is no UUID"},
		{"uuid", "00001101-0000-1000-8000-00805F9B34FB", "Bluetooth itself gives a meaning"},
		{"address", "00:11:22:33:44", `address: "00:11:22:33:44" is no Bluetooth address`},
		{"address", "00-11-22-33-44-55", "is no Bluetooth address"},
		{"adapter", "eth0", `adapter: "ETH0" is neither`},
		{"adapter", "hci0", ""},
		{"adapter", "00:11:22:aa:bb:cc", ""},
		{"address", "00:11:22:aa:bb:cc", ""},
		{"uuid", strings.ToUpper(testUUID), ""},
	} {
		_, err := Type().New(values(c.option, c.value))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s %q: %v", c.option, c.value, err)
			}
		} else if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) {
			t.Errorf("%s %q: %v does not say %q", c.option, c.value, err, c.want)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for _, c := range []struct{ address, endpoint string }{
		{"", testUUID},
		{"00:11:22:aa:bb:cc", "00:11:22:AA:BB:CC/" + testUUID},
	} {
		got := newTransport(t, "address", c.address, "uuid", strings.ToUpper(testUUID)).Endpoints()
		if len(got) != 1 || got[0] != c.endpoint {
			t.Errorf("with the address %q the endpoints are %v", c.address, got)
		}
		address, uuid, err := parseEndpoint(c.endpoint)
		if err != nil || uuid != testUUID || address != strings.ToUpper(c.address) {
			t.Errorf("%s is read as %q, %q, %v", c.endpoint, address, uuid, err)
		}
	}
	for _, bad := range []string{"", "/", "nonsense", "/" + testUUID, testUUID + "/", "00:11:22:33:44:55/nonsense", "localhost:9001"} {
		if _, _, err := parseEndpoint(bad); err == nil {
			t.Errorf("%q is taken for an endpoint", bad)
		}
	}
}

func FuzzEndpoint(f *testing.F) {
	f.Add(testUUID)
	f.Add("00:11:22:AA:BB:CC/" + testUUID)
	f.Add("/")
	f.Fuzz(func(t *testing.T, endpoint string) {
		address, uuid, err := parseEndpoint(endpoint)
		if err != nil {
			return
		}
		tr, err := Type().New(values("uuid", uuid, "address", address))
		if err != nil {
			if strings.HasSuffix(uuid, assigned) {
				return
			}
			t.Fatalf("%q is an endpoint, and no options make it: %v", endpoint, err)
		}
		if got := tr.Endpoints()[0]; got != endpoint {
			t.Errorf("%q became %q", endpoint, got)
		}
	})
}

func TestSearchesArePolite(t *testing.T) {
	var m memory
	m.init()
	now := time.Now()
	if err := m.tooSoon(now); err != nil {
		t.Errorf("the first search: %v", err)
	}
	m.searchedAt(now)
	if err := m.tooSoon(now.Add(10 * time.Second)); err == nil || !strings.Contains(err.Error(), "the next one is in 20s") {
		t.Errorf("after 10 s: %v", err)
	}
	if err := m.tooSoon(now.Add(searchPause)); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestStrangersAreNotAskedAgainSoon(t *testing.T) {
	var m memory
	m.init()
	now := time.Now()
	m.strangerAt("00:11:22:33:44:55", testUUID, now)
	if !m.isStranger("00:11:22:33:44:55", testUUID, now.Add(time.Minute)) {
		t.Error("it is asked again after a minute")
	}
	if m.isStranger("00:11:22:33:44:55", testUUID, now.Add(strangerPause)) {
		t.Error("it is never asked again")
	}
	if m.isStranger("00:11:22:33:44:55", "another", now) || m.isStranger("00:11:22:33:44:56", testUUID, now) {
		t.Error("others are taken for it")
	}
	for i := range 3 * maxStrangers {
		m.strangerAt(fmt.Sprint(i), testUUID, now.Add(time.Duration(i)))
	}
	if len(m.strangers) > maxStrangers || !m.isStranger(fmt.Sprint(3*maxStrangers-1), testUUID, now) {
		t.Errorf("%d strangers are remembered", len(m.strangers))
	}
}

func TestEachGetsItsTurn(t *testing.T) {
	var m memory
	m.init()
	now := time.Now()
	devices := []string{"a", "b", "c"}
	first := map[string]int{}
	for i := range 6 {
		m.inTurn(devices, testUUID)
		first[devices[0]]++
		m.triedAt(devices[0], testUUID, now.Add(time.Duration(i)))
	}
	if len(first) != 3 || first["a"] != 2 {
		t.Errorf("tried first: %v", first)
	}
}

// Without a system bus the transport says what is missing, and the node goes on.
func TestWithoutBlueZ(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	tr := newTransport(t)
	l, err := tr.Listen(t.Context(), &kozo.TransportEnv{})
	if err == nil {
		l.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "install bluez") {
		t.Errorf("listening says %v", err)
	}
	c, err := tr.Dial(t.Context(), &kozo.TransportEnv{}, testUUID)
	if err == nil {
		c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "install bluez") {
		t.Errorf("dialling says %v", err)
	}
}

// A search, devices that do not answer and a slow radio take longer than a cable.
func TestTimes(t *testing.T) {
	tr := newTransport(t)
	times := kozo.TimesOf(tr, testUUID)
	if times.Dial < shortSearch+longSearch+2*attemptTime || times.Handshake < 30*time.Second || times.Silence < 30*time.Second {
		t.Errorf("it has %+v", times)
	}
	if p := kozo.PriorityOf(tr); p >= kozo.Best || p <= kozo.Poor {
		t.Errorf("its priority is %v", p)
	}
}
