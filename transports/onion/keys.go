package onion

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"kozo"
	"kozo/transports/internal/onionname"
)

// keys are the secrets of a node among Tor's services: its own service's key,
// and the one with which it finds the services of others that hide.
type keys struct {
	Service []byte `json:"service"` // seed of an Ed25519 key
	Client  []byte `json:"client"`  // X25519 private key
}

// load returns the keys of the node, and makes them if there are none.
func (t *transport) load(env *kozo.TransportEnv) (*keys, error) {
	var k keys
	store := t.store(env)
	err := store.Load(&k)
	switch {
	case errors.Is(err, kozo.ErrNoStorage):
		return nil, errors.New("the key of the onion service has no place: give the node a roleStorage, or the transport a keyFile")
	case errors.Is(err, kozo.ErrNoValue):
		if err := k.make(); err != nil {
			return nil, err
		}
		return &k, store.Save(&k)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the keys of the onion transport are not for this user: %w; give them to the user of the node (chown), and run kozo onion-address as that one", err)
	case err != nil:
		return nil, err
	}
	if _, err := ecdh.X25519().NewPrivateKey(k.Client); err != nil || len(k.Service) != ed25519.SeedSize {
		return nil, errors.New("what is stored as the keys of the onion transport is not that; restore it, or move it away for a new address")
	}
	return &k, nil
}

func (t *transport) store(env *kozo.TransportEnv) kozo.Storage {
	if t.KeyFile != "" {
		return keyFile(t.KeyFile)
	}
	return env.Storage
}

func (k *keys) make() error {
	client, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	k.Client = client.Bytes()
	k.Service = make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(k.Service) // never fails
	return nil
}

// address is the name of the service with this key.
func (k *keys) address() string {
	return onionname.Of(ed25519.NewKeyFromSeed(k.Service).Public().(ed25519.PublicKey))
}

// service is the key as Tor reads it: expanded as RFC 8032 says (5.1.5).
func (k *keys) service() string {
	h := sha512.Sum512(k.Service)
	h[0] &= 248
	h[31] &= 63
	h[31] |= 64
	return "ED25519-V3:" + base64.StdEncoding.EncodeToString(h[:])
}

// client returns the halves of the client key as they are written in the file
// and as Tor reads the private one.
func (k *keys) client() (public, private string) {
	key, err := ecdh.X25519().NewPrivateKey(k.Client)
	if err != nil {
		panic(err) // load has looked at it
	}
	return clientEncoding().EncodeToString(key.PublicKey().Bytes()), base64.StdEncoding.EncodeToString(k.Client)
}

// Announce returns the options that only the node itself can know, and makes its
// keys if it has none.
func (t *transport) Announce(env *kozo.TransportEnv) (kozo.Values, error) {
	if t.ControlPort == "" {
		return nil, fmt.Errorf("%w: it has no controlPort, so that its onion service, if it has one, is described by torrc; the address is in the file named hostname there", kozo.ErrNothingToAnnounce)
	}
	k, err := t.load(env)
	if err != nil {
		return nil, err
	}
	public, _ := k.client()
	values := kozo.Values{"clientKey": public}
	if !t.OutgoingOnly {
		values["address"] = k.address()
	}
	return values, nil
}

// keyFile is a storage in a file that only its owner can read.
type keyFile string

const maxKeyFile = 4 << 10

// Load reads the file, and refuses one that others can read.
func (f keyFile) Load(v any) error {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return kozo.ErrNoValue
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the keyFile %s can be read by others; run chmod 600 on it", f)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the keyFile %s does not hold what was stored there (%w); restore it, or move it away for a new address", f, err)
	}
	return nil
}

// Save writes the file, which does not exist yet: it is there whole or not at all,
// and once Save has returned it is there after a power cut too. Peers have the
// address that follows from it.
func (f keyFile) Save(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(string(f)), "."+filepath.Base(string(f))+"*") // 0600
	if err != nil {
		return fmt.Errorf("the keyFile cannot be made: %w", err)
	}
	_, err = temp.Write(append(text, '\n'))
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), string(f))
	}
	if err == nil {
		err = syncDir(filepath.Dir(string(f)))
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("the keyFile cannot be made: %w", err)
	}
	return nil
}

// syncDir brings the names in a directory to the disk. Windows has no such thing.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
