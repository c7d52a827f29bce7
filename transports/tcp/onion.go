package tcp

import (
	"crypto/sha3"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

const onionLength = 56 // letters of the name of a hidden service, version 3

// checkOnion says why a .onion name cannot exist. Names of other sorts are fine.
// A name holds a public key, two bytes of a checksum and a version (rend-spec-v3,
// section 6).
func checkOnion(host string) error {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	name, ok := strings.CutSuffix(host, ".onion")
	if !ok {
		return nil
	}
	name = name[strings.LastIndexByte(name, '.')+1:] // services can have subdomains
	if len(name) != onionLength {
		return fmt.Errorf("the name of a Tor hidden service has %d letters and digits before .onion, and this has %d", onionLength, len(name))
	}
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(name))
	if err != nil {
		return errors.New("the name of a Tor hidden service has only the letters a to z and the digits 2 to 7")
	}
	key, sum, version := raw[:32], raw[32:34], raw[34]
	if version != 3 {
		return errors.New("it is not the name of a Tor hidden service of version 3, the only one that Tor still has")
	}
	right := sha3.Sum256(append([]byte(".onion checksum"+string(key)), version))
	if string(right[:2]) != string(sum) {
		return errors.New("it is mistyped, since it does not fit its own checksum; copy it again from the file named hostname of the Tor service")
	}
	return nil
}
