package secure

import (
	"strings"
	"testing"
)

func TestAlgorithmNames(t *testing.T) {
	for _, c := range []struct {
		check func(string) (string, error)
		name  string
		want  string // an error if it begins with "!"
	}{
		{CheckCipher, "aes256-gcm@openssh.com", "aes256-gcm@openssh.com"},
		{CheckCipher, "aes256-gcm", "aes256-gcm@openssh.com"},
		{CheckCipher, " AES128-GCM ", "aes128-gcm@openssh.com"},
		{CheckCipher, "chacha20-poly1305", "chacha20-poly1305@openssh.com"},
		{CheckCipher, "aes256-ctr", "aes256-ctr"},
		{CheckCipher, "aes265-ctr", `!did you mean "aes256-ctr"?`},
		{CheckCipher, "aes256", `!did you mean`},
		{CheckCipher, "aes256-cbc", `!did you mean "aes256-ctr"?`},
		{CheckCipher, "aes128-cbc", "!is not safe; use one of aes128-gcm"},
		{CheckCipher, "3des-cbc", "!is not safe"},
		{CheckCipher, "none", "!there are aes128-gcm, aes256-gcm, chacha20-poly1305, aes128-ctr, aes192-ctr, aes256-ctr"},
		{CheckCipher, "", "!unknown cipher"},
		{CheckCipher, strings.Repeat("x", 10000), "!unknown cipher"},
		{CheckCipher, "hmac-sha1", "!unknown cipher"},
		{CheckMAC, "hmac-sha1", "hmac-sha1"},
		{CheckMAC, "hmac-sha2-256-etm", "hmac-sha2-256-etm@openssh.com"},
		{CheckMAC, "hmac-sha2-512", "hmac-sha2-512"},
		{CheckMAC, "hmac-sha256", `!did you mean "hmac-sha2-256"?`},
		{CheckMAC, "hmac-sha1-96", "!is not safe"},
		{CheckMAC, "hmac-md5", `!did you mean "hmac-sha1"?`},
	} {
		got, err := c.check(c.name)
		if want, fails := strings.CutPrefix(c.want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: %q and error %v, want an error that says %q", c.name, got, err, want)
			} else if len(err.Error()) > 300 {
				t.Errorf("%.40q: the error has %d letters", c.name, len(err.Error()))
			}
		} else if err != nil || got != want {
			t.Errorf("%.40q: %q and error %v, want %q", c.name, got, err, want)
		}
	}
}
