package config_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"kozo"
	"kozo/internal/config"
)

func good(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "good", name+".yml"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t testing.TB, data []byte) *config.File {
	t.Helper()
	file, err := config.Parse("config.yml", data, config.Types{Registry: registry(t)})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// problems returns what is wrong with a file.
func problems(t testing.TB, data []byte) *config.Problems {
	t.Helper()
	_, err := config.Parse("config.yml", data, config.Types{Registry: registry(t)})
	p, ok := errors.AsType[*config.Problems](err)
	if !ok {
		t.Fatalf("expected problems, got %v", err)
	}
	return p
}

func TestMeaning(t *testing.T) {
	sys := parse(t, good(t, "example")).System
	if s := sys.Settings; s.Heartbeat != 30*time.Second || s.ConnectionRetry != time.Minute || s.OutgoingQueueSize != 4<<20 ||
		!reflect.DeepEqual(s.Cipher, kozo.List{"aes256-ctr"}) || s.HMAC[len(s.HMAC)-1] != "hmac-sha1" {
		t.Errorf("settings: %+v", s)
	}
	clock, scribe := sys.Node("clock"), sys.Node("scribe")
	if clock == nil || scribe == nil || len(sys.Nodes) != 2 || sys.Nodes[0] != clock {
		t.Fatalf("nodes: %v", sys.Nodes)
	}
	if clock.PrivateKey != "/var/lib/kozo/mykey" || scribe.RoleStorage != "/var/lib/kozo/storage" || !strings.HasPrefix(clock.PublicKey, "ssh-rsa AAAA") {
		t.Errorf("clock: %+v", clock)
	}
	timer := clock.Role("timer1")
	if timer.Type != "timer" || timer.Values["tick"] != time.Minute || timer.Limits != (kozo.Limits{}) {
		t.Errorf("timer1: %+v", timer)
	}
	cuckoo := scribe.Role("cuckoo")
	if len(cuckoo.Interest) == 0 || cuckoo.Interest[0].Role != "timer1" {
		t.Errorf("cuckoo wants %v", cuckoo.Interest)
	}
	if role, err := cuckoo.New(); role == nil || err != nil {
		t.Errorf("cuckoo: %v, %v", role, err)
	}
	tcp := clock.Transports[0]
	if got := tcp.Transport.Endpoints(); len(got) == 0 || !strings.HasPrefix(got[0], "clock.local") {
		t.Errorf("endpoints of clock: %v", got)
	}
}

func TestOverride(t *testing.T) {
	sys := parse(t, good(t, "all-options")).System
	clock := sys.Node("clock")
	if sys.Settings.Heartbeat != 30*time.Second || clock.Settings.Heartbeat != 5*time.Second || clock.Settings.ConnectionRetry != 20*time.Second {
		t.Errorf("root %v, clock %v, retry %v", sys.Settings.Heartbeat, clock.Settings.Heartbeat, clock.Settings.ConnectionRetry)
	}
	if clock.SelfToOthers != kozo.OnDemand || clock.OthersToSelf != kozo.Never {
		t.Errorf("policies %v and %v", clock.SelfToOthers, clock.OthersToSelf)
	}
	if !reflect.DeepEqual(clock.Settings.Cipher, kozo.List{"aes128-ctr"}) || sys.Settings.Cipher[0] != "aes256-gcm@openssh.com" {
		t.Errorf("ciphers %v and %v", sys.Settings.Cipher, clock.Settings.Cipher)
	}
	if r := clock.Role("timer1"); r.Limits != (kozo.Limits{Length: 10, Size: 1 << 20}) || r.Values["tick"] != 500*time.Millisecond {
		t.Errorf("timer1: %+v", r)
	}
}

func TestAnchors(t *testing.T) {
	sys := parse(t, good(t, "anchors")).System
	scribe, door := sys.Node("scribe"), sys.Node("door")
	if scribe.Role("timer1").Values["tick"] != 2*time.Second || !strings.HasPrefix(scribe.Transports[0].Transport.Endpoints()[0], "scribe.local") {
		t.Error("a merged block is not what it should be")
	}
	if door.PrivateKey != "/var/lib/kozo/mykey" || len(door.Roles) != 3 {
		t.Errorf("door: %+v", door)
	}
}

// TestDigest changes a file in ways that mean something and in ways that do not.
func TestDigest(t *testing.T) {
	base := string(good(t, "all-options"))
	want := parse(t, []byte(base)).System.Digest
	if want["system.clock"] == "" || want["heartbeat"] == "" || want["connectionRetry"] == "" {
		t.Fatalf("digest: %v", want)
	}
	for _, c := range []struct {
		what, old, new string
		differs        []string
	}{
		{"a comment", "heartbeat: 30", "heartbeat: 30 # often", nil},
		{"another way to write it", "heartbeat: 30", "heartbeat: 0.5m", nil},
		{"a list instead of words", "rolePath: /a:/b", "rolePath: [/a, /b]", nil},
		{"the default, written", "timePrefix", "keep: 3\n                timePrefix", nil},
		{"a description", "description: ticks", "description: tocks", nil},
		{"the comment of a key", "me@clock", "you@clock", nil},
		{"a root option", "heartbeat: 30", "heartbeat: 31", []string{"heartbeat"}},
		{"a root option removed", "importPath: /d\n", "", []string{"importPath"}},
		{"the order of the roles", "            cuckoo:\n                timer: timer1\n", "", nil},
		{"a role", "tick: 500ms", "tick: 501ms", []string{"system.clock"}},
		{"an override", "heartbeat: 5", "heartbeat: 6", []string{"system.clock"}},
	} {
		text := strings.Replace(base, c.old, c.new, 1)
		if c.what == "the order of the roles" { // what was cut goes to the front
			text = strings.Replace(text, "        roles:\n", "        roles:\n"+c.old, 1)
		}
		if text == base {
			t.Fatalf("%s: nothing changed", c.what)
		}
		got := parse(t, []byte(text)).System.Digest
		var differs []string
		for k := range want {
			if got[k] != want[k] {
				differs = append(differs, k)
			}
		}
		if !reflect.DeepEqual(differs, c.differs) {
			t.Errorf("%s: %v differ, expected %v", c.what, differs, c.differs)
		}
	}
	if d := parse(t, []byte("heartbeat: 10\n"+string(good(t, "minimal")))).System.Digest["heartbeat"]; d != "" {
		t.Errorf("the default has the digest %q", d)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if file, err := config.Load(write("ok.yml", good(t, "minimal")), config.Types{Registry: registry(t)}); err != nil || file.System.Node("clock") == nil {
		t.Errorf("a good file: %v", err)
	}
	if _, err := config.Load(filepath.Join(dir, "none.yml"), config.Types{Registry: registry(t)}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := config.Load(dir, config.Types{Registry: registry(t)}); err == nil {
		t.Error("a directory was read")
	}

	garbage := make([]byte, 100_000)
	if _, err := rand.Read(garbage); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("# twenty megabytes\n"), 20<<20/19)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"large.yml":   {large, "more than 1MiB"},
		"garbage.yml": {append([]byte{0x80}, garbage...), "the byte 0x80 is not part of a text in UTF-8"},
		"zero.yml":    {append([]byte("system:\n  a\x00"), garbage...), "this is not a text file"},
		"control.yml": {[]byte("system:\n    cl\x07ock: {}\n"), "zero.yml:2:7"},
		"utf16.yml":   {[]byte("\xff\xfes\x00y\x00"), "the file is in UTF-16"},
	} {
		start := time.Now()
		_, err := config.Load(write(name, c.data), config.Types{Registry: registry(t)})
		if err == nil || !strings.Contains(err.Error(), strings.Replace(c.want, "zero.yml", name, 1)) {
			t.Errorf("%s: %.200v", name, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// TestHostile gives files that are made to be hard to read. Each is refused or
// read within seconds.
func TestHostile(t *testing.T) {
	const n = 30_000
	repeat := func(s string) []byte { return []byte(strings.Repeat(s, n/len(s))) }
	chain := "system:\n    a0: &a0 [x]\n"
	for i := range 5000 {
		chain += fmt.Sprintf("    a%d: &a%d [*a%d]\n", i+1, i+1, i)
	}
	unknown := ""
	for i := range n / 10 {
		unknown += fmt.Sprintf("k%d: x\n", i)
	}
	injectors, cuckoos := string(good(t, "minimal"))+"        roles:\n", string(good(t, "minimal"))+"        roles:\n"
	for i := range n / 10 {
		injectors += fmt.Sprintf("            r%d: {type: message_injector, bindAddress: 10.0.%d.%d}\n", i, i/256, i%256)
		cuckoos += fmt.Sprintf("            r%d: {type: cuckoo, timer: t%d}\n", i, i)
	}
	injectors += "            last: {type: message_injector, bindAddress: \"\"}\n"
	many := "system:\n"
	for i := range config.MaxNodes + 1 {
		many += fmt.Sprintf("    n%d:\n", i)
	}
	for name, data := range map[string][]byte{
		"lists":      repeat("["),
		"blocks":     repeat("{a: "),
		"dashes":     repeat("- "),
		"questions":  repeat("? "),
		"anchors":    repeat("&a "),
		"keys":       repeat("a: "),
		"lines":      repeat("a: b\n"),
		"words":      repeat("a "),
		"quotes":     repeat("\"a\" "),
		"comments":   repeat("# a\n"),
		"commented":  repeat("a: # a\n"),
		"documents":  repeat("---\n"),
		"directives": repeat("%A a\n"),
		"tags":       repeat("!a "),
		"values":     []byte("cipher: [" + strings.Repeat("a,", 100_000) + "]"),
		"names":      append([]byte("cipher: \""), append(repeat("a,"), '"')...),
		"unknown":    []byte(unknown),
		"injectors":  []byte(injectors),
		"cuckoos":    []byte(cuckoos),
		"chain":      []byte(chain),
		"nodes":      []byte(many),
	} {
		start := time.Now()
		p := problems(t, data)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		if len(p.List) == 0 || len(p.Error()) > 100_000 {
			t.Errorf("%s: %d problems in %d bytes", name, len(p.List), len(p.Error()))
		}
		t.Logf("%s: %v: %s", name, time.Since(start).Round(time.Millisecond), p.List[0].Summary()[:min(150, len(p.List[0].Summary()))])
	}
}

// TestMany has more problems than anybody reads.
func TestMany(t *testing.T) {
	text := string(good(t, "minimal"))
	for i := range 2000 {
		text += fmt.Sprintf("wrong%d: x\n", i)
	}
	p := problems(t, []byte(text))
	if len(p.List)+p.More != 2000 || p.More == 0 || !strings.HasSuffix(p.Error(), fmt.Sprintf("\nand %d more problems", p.More)) {
		t.Errorf("%d and %d problems", len(p.List), p.More)
	}
}

func TestInboxLimits(t *testing.T) {
	text := string(good(t, "minimal")) + "        roles: {timer: {messageQueueLength: 100, messageQueueSize: 1kB}, cuckoo: {}}\n        roleStorage: s\n"
	file, err := config.Parse("config.yml", []byte(text), config.Types{Registry: registry(t)})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[kozo.RoleName]kozo.Limits{"timer": {Length: 100, Size: 1000}, "cuckoo": {}} {
		if got := file.System.Node("clock").Role(name).Limits; got != want {
			t.Errorf("the limits of %s are %+v", name, got)
		}
	}
}

// wired is a transport with a file.
type wired struct {
	pipe
	Key kozo.Path `option:"key" default:"" doc:"a file"`
}

func TestRelativePathsStartAtTheFile(t *testing.T) {
	types := registry(t)
	err := types.AddTransport(kozo.DefineTransport("wired", "", func(o wired) (kozo.Transport, error) { return o, nil }))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(good(t, "minimal")), "privateKey: ", "privateKey: keys/a #", 1) +
		"        roleStorage: storage\n        roles: {logger: {file: logs/x}, other: {type: logger, file: /var/log/x}}\n" +
		"        transports: {wired: {key: onion}}\nrolePath: roles:/opt/roles\n"
	var digests []map[string]string
	for range 2 {
		dir := t.TempDir()
		path := filepath.Join(dir, "config.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := config.Load(path, config.Types{Registry: types})
		if err != nil {
			t.Fatal(err)
		}
		n := file.System.Node("clock")
		for got, want := range map[string]string{
			n.PrivateKey:  "keys/a",
			n.RoleStorage: "storage",
			string(n.Role("logger").Values["file"].(kozo.Path)): "logs/x",
			string(n.Transports[0].Transport.(wired).Key):       "onion",
			n.Settings.RolePath[0]:                              "roles",
		} {
			if got != filepath.Join(dir, want) {
				t.Errorf("%s became %s", want, got)
			}
		}
		if got := n.Role("other").Values["file"]; got != kozo.Path("/var/log/x") {
			t.Errorf("an absolute path became %s", got)
		}
		if got := n.Settings.RolePath[1]; got != "/opt/roles" {
			t.Errorf("an absolute path became %s", got)
		}
		digests = append(digests, file.System.Digest)
	}
	if !maps.Equal(digests[0], digests[1]) {
		t.Error("the digests tell where the file is")
	}
}
