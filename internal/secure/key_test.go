package secure

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func readTest(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKeysOfEveryFormatAreRead(t *testing.T) {
	for file, public := range map[string]string{
		"rsa": "rsa", "rsa.pkcs1": "rsa", "rsa.pkcs8": "rsa", "rsa3072": "rsa3072",
		"ed25519": "ed25519", "ed25519.pkcs8": "",
		"ecdsa256": "ecdsa256", "ecdsa256.sec1": "ecdsa256", "ecdsa384": "ecdsa384", "ecdsa521": "ecdsa521",
		"ecdsa.params": "",
	} {
		t.Run(file, func(t *testing.T) {
			k := testKey(t, file)
			if public == "" {
				return
			}
			want, err := ParsePublicKey(readTest(t, public+".pub"))
			if err != nil {
				t.Fatal(err)
			}
			if k.Public() != want {
				t.Errorf("the public half is %s, want %s", k.Public().Line(), want.Line())
			}
			if line := want.Line(); !strings.HasPrefix(readTest(t, public+".pub"), line+" ") {
				t.Errorf("Line gives %s, the file has %s", line, readTest(t, public+".pub"))
			}
		})
	}
}

func TestPrivateKeysThatAreRefused(t *testing.T) {
	rsa := readTest(t, "rsa")
	for name, c := range map[string]struct{ text, want string }{
		"passphrase, OpenSSH":  {readTest(t, "passphrase"), "passphrase"},
		"passphrase, PEM":      {readTest(t, "passphrase.pem"), "passphrase"},
		"passphrase, PKCS8":    {readTest(t, "passphrase.pkcs8"), "passphrase"},
		"short RSA":            {readTest(t, "rsa1024"), "1024 bits is not safe"},
		"DSA":                  {readTest(t, "dsa"), "cannot be used"},
		"public key":           {readTest(t, "rsa.pub"), "this is a public key"},
		"public ECDSA key":     {readTest(t, "ecdsa256.pub"), "this is a public key"},
		"public key in PEM":    {"-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n", "this is a public key"},
		"PuTTY":                {"PuTTY-User-Key-File-3: ssh-ed25519\n", "puttygen"},
		"empty":                {" \n", "empty"},
		"first half":           {rsa[:len(rsa)/2], "was all of the file copied?"},
		"garbage in the frame": {"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "damaged"},
		"something else":       {"hello", "no private key"},
		"large":                {strings.Repeat("x", maxKeyFile+1), "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := ParseKey([]byte(c.text))
			if err == nil {
				t.Fatalf("it was taken: %v", k)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

func TestLoadKeyRefusesFiles(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, []byte(readTest(t, "ed25519")), 0o640); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		missing: "kozo keygen " + missing,
		open:    "chmod 600",
		dir:     "is not a file",
	} {
		if path == open && runtime.GOOS == "windows" {
			continue
		}
		if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("LoadKey(%s): %v does not say %q and the path", path, err, want)
		}
	}
	if err := os.Chmod(open, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(open); err != nil {
		t.Error(err)
	}
}

func TestWriteNeverOverwrites(t *testing.T) {
	k := newTestKey(t)
	for _, taken := range []string{"key", "key.pub"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, taken), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := k.Write(filepath.Join(dir, "key"), "")
		if err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("with %s there: %v", taken, err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 1 {
			t.Errorf("with %s there, %d files are left", taken, len(files))
		}
		if text, _ := os.ReadFile(filepath.Join(dir, taken)); string(text) != "mine" {
			t.Errorf("%s was overwritten", taken)
		}
	}
	if err := k.Write(filepath.Join(t.TempDir(), "key"), "two\nlines"); err == nil {
		t.Error("a comment of two lines was written")
	}
}

func TestPrivateKeyDoesNotPrintItself(t *testing.T) {
	k := newTestKey(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, k); text != k.String() {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

func TestWrittenKeysAreReadBySSHKeygen(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	for _, from := range []string{"", "rsa", "ecdsa256", "ecdsa521", "ed25519.pkcs8"} {
		k := newTestKey(t)
		if from != "" {
			k = testKey(t, from)
		}
		path := filepath.Join(t.TempDir(), "key")
		if err := k.Write(path, "clock of the kitchen"); err != nil {
			t.Fatal(err)
		}
		again, err := LoadKey(path)
		if err != nil {
			t.Fatal(err)
		}
		if again.Public() != k.Public() {
			t.Errorf("what was written is another key")
		}
		public, err := exec.Command(keygen, "-y", "-f", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: ssh-keygen -y: %v: %s", from, err, public)
		}
		if want := k.Public().Line() + " clock of the kitchen\n"; string(public) != want {
			t.Errorf("%s: ssh-keygen -y says %s, want %s", from, public, want)
		}
		print, err := exec.Command(keygen, "-l", "-f", path+".pub").CombinedOutput()
		if err != nil {
			t.Fatalf("%s: ssh-keygen -l: %v: %s", from, err, print)
		}
		if !strings.Contains(string(print), " "+k.Public().Fingerprint()+" clock of the kitchen ") {
			t.Errorf("%s: ssh-keygen -l says %s, want %s", from, print, k.Public().Fingerprint())
		}
	}
}

func TestPublicKeysThatAreRefused(t *testing.T) {
	rsa, ed := readTest(t, "rsa.pub"), readTest(t, "ed25519.pub")
	word := strings.Fields(ed)[1]
	for name, c := range map[string]struct{ line, want string }{
		"empty":            {"  ", "is empty"},
		"private key":      {readTest(t, "ed25519"), "this is a private key"},
		"several lines":    {ed + ed, "several"},
		"DSA":              {"ssh-dss AAAAB3NzaC1kc3M=", "DSA keys are not safe"},
		"token":            {"sk-ssh-ed25519@openssh.com AAAA", "security token"},
		"certificate":      {"ssh-ed25519-cert-v01@openssh.com AAAA", "certificates"},
		"no type":          {word, "type of the key is missing"},
		"unknown type":     {"ssh-foo AAAA", `"ssh-foo" is not a type`},
		"only the type":    {"ssh-rsa", "nothing follows ssh-rsa"},
		"cut":              {rsa[:200], "damaged"},
		"cut at a quantum": {"ssh-ed25519 " + word[:20], "damaged"},
		"not base64":       {"ssh-ed25519 " + strings.Replace(word, "A", "!", 1), "damaged"},
		"wrong type":       {"ssh-rsa " + word, "of type ssh-ed25519"},
		"short RSA":        {readTest(t, "rsa1024.pub"), "1024 bits is not safe"},
		"junk after it":    {"ssh-ed25519 " + word[:len(word)-4] + "AAAAAAAA", "damaged"},
		"control letters":  {"ssh\x1b[31m AAAA", `"ssh?[31m"`},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := ParsePublicKey(c.line)
			if err == nil {
				t.Fatalf("it was taken: %s", k.Line())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
	for _, fine := range []string{rsa, ed, " " + ed + "\r\n", "ssh-ed25519\t" + word} {
		if _, err := ParsePublicKey(fine); err != nil {
			t.Errorf("%q: %v", fine, err)
		}
	}
}

func TestEmptyPublicKeyHasNoMeaning(t *testing.T) {
	for _, k := range []PublicKey{"", "x", "\x00\x00\x00\xff"} {
		if k.Type() != "none" || k.Fingerprint() != "no key" {
			t.Errorf("%q: type %s, fingerprint %s", string(k), k.Type(), k.Fingerprint())
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	for _, name := range []string{"rsa", "ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa1024"} {
		f.Add(readTest(f, name+".pub"))
	}
	f.Add("ssh-dss AAAAB3NzaC1kc3M= x")
	f.Fuzz(func(t *testing.T, line string) {
		k, err := ParsePublicKey(line)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x1b") {
				t.Errorf("the error is not one clean line: %q", err)
			}
			return
		}
		again, err := ParsePublicKey(k.Line())
		if err != nil || again != k {
			t.Errorf("%q becomes %q, which does not come back: %v", line, k.Line(), err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, name := range []string{"rsa.pkcs8", "ed25519", "ecdsa256.sec1", "ecdsa384", "ecdsa.params", "passphrase", "dsa"} {
		f.Add([]byte(readTest(f, name)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseKey(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x1b") {
				t.Errorf("the error is not one clean line: %q", err)
			}
			return
		}
		if _, err := ParsePublicKey(k.Public().Line()); err != nil {
			t.Errorf("a key was taken whose public half is refused: %v", err)
		}
	})
}
