//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir string) *authority {
	a := &authority{t: t, dir: dir}
	a.cert, a.key = a.sign("authority")
	return a
}

// sign makes a key, and a certificate with a name on it, as files.
func (a *authority) sign(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: a.cert == nil,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".secret": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// TestPythonTransportWithItsOwnEncryption has two nodes that only have the TLS
// transport of the documentation, and a third one that says it is the second.
func TestPythonTransportWithItsOwnEncryption(t *testing.T) {
	needPython(t)
	const sent = 2000
	dir := t.TempDir()
	a := newAuthority(t, dir)
	blocks := map[string]string{}
	for name, roles := range map[string]string{
		"alice": fmt.Sprintf("flood: {count: %d, rate: 2000}", sent), "bob": fmt.Sprintf("count: {last: %d, messageQueueLength: %d}", sent, sent),
		"carol": "",
	} {
		a.sign(name)
		certificate, policy := name, "constant"
		if name == "carol" {
			certificate, policy = "bob", "never" // or it would be taken for bob, as it should
		}
		blocks[name] = fmt.Sprintf("    selfToOthersConnectPolicy: %s\n    transports: {tls: {port: %d, address: 127.0.0.1, certificate: %s, key: %s, authority: %s}}\n    roles: {%s}\n    overrideMainConfiguration: {outgoingQueueLength: %d}\n",
			policy, freePort(t), filepath.Join(dir, certificate+".pem"), filepath.Join(dir, certificate+".secret"), filepath.Join(dir, "authority.pem"), roles, sent)
	}
	n := newPythonNetwork(t, build(t), blocks)
	for name := range blocks {
		n.start(name)
	}
	counted, _ := n.counted("bob")
	l := n.link("alice", "bob")
	if counted != sent || l.Transport != "tls" || !l.Out.Balanced() || l.Out.Sent != sent {
		t.Errorf("counted %d of %d over %+v", counted, sent, l)
	}
	// Carol shows the certificate of bob, and is not taken for carol.
	n.until("alice to refuse carol", func() bool {
		for _, target := range n.link("alice", "carol").Targets {
			if strings.Contains(target.Error, "connect returned None") {
				return true
			}
		}
		return false
	})
	if l := n.link("alice", "carol"); l.State == "up" || l.Connects > 0 {
		t.Errorf("alice believes that carol is there: %+v", l)
	}
}
