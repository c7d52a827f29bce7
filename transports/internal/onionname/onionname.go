// Package onionname knows the names of Tor's onion services: which ones can
// exist, and which one belongs to a key.
package onionname

import (
	"crypto/ed25519"
	"crypto/sha3"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

const (
	suffix  = ".onion"
	length  = 56 // letters and digits before the suffix
	version = 3
)

// Is says whether a host is named like an onion service.
func Is(host string) bool {
	return strings.HasSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), suffix)
}

// Check says why a .onion name cannot exist. Names of other sorts are fine.
func Check(host string) error {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	name, ok := strings.CutSuffix(host, suffix)
	if !ok {
		return nil
	}
	name = name[strings.LastIndexByte(name, '.')+1:] // services can have subdomains
	if len(name) != length {
		return fmt.Errorf("the name of a Tor onion service has %d letters and digits before .onion, and this has %d", length, len(name))
	}
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(name))
	if err != nil {
		return errors.New("the name of a Tor onion service has only the letters a to z and the digits 2 to 7")
	}
	if raw[34] != version {
		return errors.New("it is not the name of a Tor onion service of version 3, the only one that Tor still has")
	}
	if name != encode(raw[:32]) {
		return errors.New("it is mistyped, since it does not fit its own checksum; copy it again")
	}
	return nil
}

// Of returns the name of the service that has a key, with .onion at its end.
func Of(key ed25519.PublicKey) string { return encode(key) + suffix }

// encode writes a name: a public key, two bytes of a checksum and a version
// (rend-spec-v3, section 6).
func encode(key []byte) string {
	sum := sha3.Sum256(append([]byte(".onion checksum"+string(key)), version))
	raw := append([]byte(key[:32:32]), sum[0], sum[1], version)
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw))
}
