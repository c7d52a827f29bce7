package onionname

import (
	"crypto/ed25519"
	"encoding/base32"
	"strings"
	"testing"
)

const duck = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion"

func TestCheck(t *testing.T) {
	for name, want := range map[string]string{
		duck:                                    "",
		"www." + duck:                           "",
		strings.ToUpper(duck) + ".":             "",
		"clock.local":                           "",
		"onion":                                 "",
		"gnreiuoyh5rrtkjhe4r5j5423t4egyr.onion": "has 56 letters and digits before .onion, and this has 31",
		".onion":                                "and this has 0",
		"e" + duck[1:]:                          "mistyped",
		strings.Replace(duck, "d", "1", 1):      "the letters a to z and the digits 2 to 7",
		strings.Replace(duck, "d.onion", "e.onion", 1): "version 3",
	} {
		err := Check(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	// No letter can be mistyped unnoticed.
	for i := range strings.IndexByte(duck, '.') {
		wrong := []byte(duck)
		if wrong[i]++; wrong[i] > 'z' || wrong[i] == '8' {
			wrong[i] = 'b'
		}
		if Check(string(wrong)) == nil {
			t.Errorf("%s is taken for a name", wrong)
		}
	}
}

func TestOf(t *testing.T) {
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(strings.TrimSuffix(duck, ".onion")))
	if err != nil {
		t.Fatal(err)
	}
	if got := Of(ed25519.PublicKey(raw[:32])); got != duck {
		t.Errorf("the key of %s has the name %s", duck, got)
	}
	if !Is(duck) || !Is("A.ONION.") || Is("onion") || Is("clock.local") {
		t.Error("the suffix is not seen right")
	}
}
