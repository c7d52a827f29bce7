// Package keys makes and reads the certificates with which the ends and the broker
// of a measured system prove themselves to each other.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Who has a certificate.
const (
	Server = "server"
	Client = "client"
)

const caFile = "ca.pem"

// Make makes an authority, and a certificate of each end.
func Make(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := template(1, "kozo bench")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(CA(dir), "CERTIFICATE", der),
		issue(dir, template(2, Server), ca, key),
		issue(dir, template(3, Client), ca, key),
	)
}

func template(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func issue(dir string, cert, ca *x509.Certificate, caKey crypto.Signer) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	name := cert.Subject.CommonName
	return errors.Join(writePEM(Cert(dir, name), "CERTIFICATE", der), writePEM(Key(dir, name), "PRIVATE KEY", private))
}

// CA is the file of the authority.
func CA(dir string) string { return filepath.Join(dir, caFile) }

// Cert is the file of a certificate.
func Cert(dir, name string) string { return filepath.Join(dir, name+".pem") }

// Key is the file of its private key.
func Key(dir, name string) string { return filepath.Join(dir, name+".key") }

func writePEM(name, kind string, der []byte) error {
	return os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// TLS is the configuration of an end, which proves itself and asks the other one to.
func TLS(dir, name string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(Cert(dir, name), Key(dir, name))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(CA(dir))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(caFile + " has no certificate")
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, ServerName: "127.0.0.1",
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}
