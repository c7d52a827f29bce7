package secure

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	minRSA     = 2048    // bits
	maxKeyFile = 1 << 16 // bytes; the largest RSA key of ssh-keygen has 13 kB
)

// Key is the private key of a node. It may be used by several goroutines at
// once, and never prints itself.
type Key struct {
	raw    any // as ssh.ParseRawPrivateKey returns it
	signer ssh.Signer
	public PublicKey
}

// GenerateKey makes a new Ed25519 key.
func GenerateKey() (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot generate a key: %w", err)
	}
	return newKey(private)
}

// LoadKey reads the private key of this node from a file, in the OpenSSH format
// or as PEM. It refuses a file that others can read, as ssh does. The error
// names the file and says what to do.
func LoadKey(path string) (*Key, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("private key %s does not exist; make one with: kozo keygen %s", path, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("private key %s cannot be reached by this user; check who owns it and its directories", path)
	case err != nil:
		return nil, fmt.Errorf("private key %s: %w", path, reason(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("private key %s is not a file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("private key %s can be read by others; run chmod 600 on it", path)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("private key %s cannot be read by this user; check who owns it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, reason(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, reason(err))
	}
	k, err := ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, err)
	}
	return k, nil
}

// reason strips from an error of package os what the caller says already.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// ParseKey reads a private key as [LoadKey] does. Keys with a passphrase, DSA
// keys and RSA keys of less than 2048 bits are refused.
func ParseKey(text []byte) (*Key, error) {
	if len(text) > maxKeyFile {
		return nil, errors.New("this is no key: it is too large")
	}
	block := privateBlock(text)
	if block == nil {
		return nil, errors.New(whyNoKey(string(text)))
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, errPassphrase()
	}
	raw, err := ssh.ParseRawPrivateKey(pem.EncodeToMemory(block))
	if _, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		return nil, errPassphrase()
	}
	if err != nil {
		return nil, fmt.Errorf("the key is damaged or of a kind that cannot be used: %s", plain(err))
	}
	return newKey(raw)
}

func errPassphrase() error {
	return errors.New("the key is protected by a passphrase, which a node cannot type; remove it with ssh-keygen -p, or make another key with kozo keygen")
}

// privateBlock finds the private key in a PEM file, which may have other blocks
// before it, such as the curve's parameters.
func privateBlock(text []byte) *pem.Block {
	for len(text) > 0 {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return block
		}
	}
	return nil
}

func whyNoKey(text string) string {
	text = strings.TrimSpace(text)
	first, _, _ := strings.Cut(text, " ")
	switch {
	case text == "":
		return "the file is empty"
	case slices.Contains(keyTypes(), first) || strings.Contains(text, "PUBLIC KEY"):
		return "this is a public key; privateKey names the file of the private one, without .pub"
	case strings.HasPrefix(text, "PuTTY-User-Key-File"):
		return "this is a key of PuTTY; convert it with: puttygen KEY -O private-openssh -o NEW"
	case strings.Contains(text, "PRIVATE KEY-----"):
		return "the key is damaged; was all of the file copied?"
	}
	return "this is no private key in the OpenSSH format or in PEM; make one with kozo keygen"
}

func newKey(raw any) (*Key, error) {
	switch k := raw.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minRSA {
			return nil, errShortRSA(bits)
		}
	case *ed25519.PrivateKey:
		raw = *k
	case ed25519.PrivateKey, *ecdsa.PrivateKey:
	default:
		return nil, fmt.Errorf("a key of this kind (%T) cannot be used; use Ed25519, ECDSA or RSA", raw)
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return nil, fmt.Errorf("the key cannot be used: %s", plain(err))
	}
	if signer.PublicKey().Type() == ssh.KeyAlgoRSA {
		// Left alone it would sign with SHA-1 if the other side asked for it.
		signer, err = ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner),
			[]string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
		if err != nil {
			return nil, fmt.Errorf("the key cannot be used: %s", plain(err))
		}
	}
	return &Key{raw: raw, signer: signer, public: PublicKey(signer.PublicKey().Marshal())}, nil
}

func errShortRSA(bits int) error {
	return fmt.Errorf("an RSA key of %d bits is not safe; it must have %d or more, or be an Ed25519 key", bits, minRSA)
}

// Public returns the public half of the key.
func (k *Key) Public() PublicKey { return k.public }

// String names the public half, so that a private key cannot be printed by
// accident.
func (k *Key) String() string { return "private key of " + k.public.Fingerprint() }

// GoString is String.
func (k *Key) GoString() string { return k.String() }

// Write writes the key to two new files: path, in the OpenSSH format and
// readable by its owner alone, and path.pub with the public half and the
// comment. It never overwrites a file.
func (k *Key) Write(path, comment string) error {
	if strings.ContainsAny(comment, "\r\n\x00") {
		return errors.New("the comment of a key must be one line")
	}
	private, err := k.marshal(comment)
	if err != nil {
		return err
	}
	line := k.public.Line()
	if comment != "" {
		line += " " + comment
	}
	// The public half first: what is left when something fails halfway is not
	// a secret.
	if err := writeNew(path+".pub", []byte(line+"\n"), 0o644); err != nil {
		return err
	}
	if err := writeNew(path, private, 0o600); err != nil {
		os.Remove(path + ".pub")
		return err
	}
	return nil
}

// PEM returns the private key in the format of OpenSSH.
func (k *Key) PEM() ([]byte, error) { return k.marshal("") }

func (k *Key) marshal(comment string) ([]byte, error) {
	block, err := ssh.MarshalPrivateKey(k.raw, comment)
	if err != nil {
		return nil, fmt.Errorf("cannot write the key: %s", plain(err))
	}
	return pem.EncodeToMemory(block), nil
}

func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; choose another name, or remove it if nobody uses it", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, reason(err))
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("cannot write %s: %w", path, reason(err))
	}
	return nil
}

// PublicKey is the public key of a node, in the format that SSH sends. Two are
// equal if they are the same key.
type PublicKey string

// keyTypes returns the types of keys that nodes can have, by their SSH names.
func keyTypes() []string {
	return []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA}
}

// ParsePublicKey reads a line as it stands in the .pub file of a key:
// "ssh-ed25519 AAAA… comment". The error says what is wrong with it.
func ParsePublicKey(line string) (PublicKey, error) {
	line = strings.TrimSpace(line)
	if strings.Contains(line, "PRIVATE KEY") {
		return "", errors.New("this is a private key, which nobody but its node may have; put the line of the .pub file here")
	}
	if strings.ContainsAny(line, "\r\n") {
		return "", errors.New("a public key is one line, and this has several")
	}
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return "", errors.New("the public key is empty")
	}
	typ := fields[0]
	if err := checkKeyType(typ); err != nil {
		return "", err
	}
	if len(fields) < 2 {
		return "", fmt.Errorf("nothing follows %s; a public key has three parts: its type, a long word that begins with AAAA, and a comment", typ)
	}
	damaged := func(how string) error {
		return fmt.Errorf("the word after %s is damaged: %s; was all of it copied?", typ, how)
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(fields[1])
	if err != nil {
		if len(fields[1])%4 != 0 {
			return "", damaged("it ends too early")
		}
		return "", damaged(err.Error())
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return "", damaged(plain(err))
	}
	if key.Type() != typ {
		return "", fmt.Errorf("the key says that it is of type %s, and the line that it is %s", printable(key.Type(), 64), typ)
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < minRSA {
			return "", errShortRSA(r.N.BitLen())
		}
	}
	return PublicKey(key.Marshal()), nil
}

func checkKeyType(typ string) error {
	use := "; use ssh-ed25519, or ecdsa-sha2-nistp256, -384 or -521, or ssh-rsa"
	switch {
	case slices.Contains(keyTypes(), typ):
		return nil
	case typ == "ssh-dss":
		return errors.New("DSA keys are not safe" + use)
	case strings.Contains(typ, "-cert-"):
		return errors.New("certificates are not supported, only plain keys" + use)
	case strings.HasPrefix(typ, "sk-"):
		return errors.New("a key on a security token cannot be the key of a node, since nobody is there to touch it" + use)
	case strings.HasPrefix(typ, "AAAA"):
		return errors.New("the type of the key is missing: a public key begins with ssh-ed25519, ssh-rsa or ecdsa-sha2-nistp256")
	}
	return fmt.Errorf("%q is not a type of key that can be used%s", printable(typ, 64), use)
}

// Line returns the key as one line without comment, as in a .pub file. It is
// empty if there is no key.
func (k PublicKey) Line() string {
	if k == "" {
		return ""
	}
	return k.Type() + " " + base64.StdEncoding.EncodeToString([]byte(k))
}

// Fingerprint returns the fingerprint of the key as ssh-keygen -l prints it.
func (k PublicKey) Fingerprint() string {
	key, err := ssh.ParsePublicKey([]byte(k))
	if err != nil {
		return "no key"
	}
	return ssh.FingerprintSHA256(key)
}

// Type returns the SSH name of the type of the key: "ssh-ed25519".
func (k PublicKey) Type() string {
	var head struct {
		Type string
		Rest []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal([]byte(k), &head); err != nil {
		return "none"
	}
	return head.Type
}
