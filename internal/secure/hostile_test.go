package secure

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// hostile is an SSH client that does the key exchange and then sends whatever it
// is told, without waiting for answers.
type hostile struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	aead cipher.AEAD
	iv   []byte
}

const hostileVersion = "SSH-2.0-hostile"

// newHostile does the key exchange. It stops before it says that the keys are in
// use, so that what comes next can go out in one piece with that.
func newHostile(t *testing.T, conn net.Conn) *hostile {
	t.Helper()
	h := &hostile{t: t, conn: conn, in: bufio.NewReader(conn)}
	io.WriteString(conn, hostileVersion+"\r\n")
	serverVersion, err := h.in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	init := ssh.Marshal(struct {
		Cookie                                                                       [16]byte `sshtype:"20"`
		Kex, HostKey, CipherCS, CipherSC, MACCS, MACSC, ZipCS, ZipSC, LangCS, LangSC []string
		Follows                                                                      bool
		Reserved                                                                     uint32
	}{
		Kex: []string{"curve25519-sha256"}, HostKey: []string{"ssh-ed25519"},
		CipherCS: []string{"aes128-gcm@openssh.com"}, CipherSC: []string{"aes128-gcm@openssh.com"},
		MACCS: []string{"hmac-sha2-256"}, MACSC: []string{"hmac-sha2-256"},
		ZipCS: []string{"none"}, ZipSC: []string{"none"},
	})
	conn.Write(clearPacket(init))
	serverInit := h.clear()
	mine, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	conn.Write(clearPacket(ssh.Marshal(struct {
		Public []byte `sshtype:"30"`
	}{mine.PublicKey().Bytes()})))
	var reply struct {
		HostKey, Public, Signature []byte `sshtype:"31"`
	}
	if err := ssh.Unmarshal(h.clear(), &reply); err != nil {
		t.Fatal(err)
	}
	theirs, err := ecdh.X25519().NewPublicKey(reply.Public)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := mine.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	k := ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(secret)})
	digest := sha256.Sum256(append(ssh.Marshal(struct {
		ClientVersion, ServerVersion string
		ClientInit, ServerInit       []byte
		HostKey, Mine, Theirs        []byte
	}{hostileVersion, strings.TrimSpace(serverVersion), init, serverInit, reply.HostKey, mine.PublicKey().Bytes(), reply.Public}), k...))
	derive := func(tag byte) []byte {
		sum := sha256.Sum256(bytes.Join([][]byte{k, digest[:], {tag}, digest[:]}, nil))
		return sum[:]
	}
	block, err := aes.NewCipher(derive('C')[:16])
	if err != nil {
		t.Fatal(err)
	}
	if h.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	h.iv = derive('A')[:12]
	return h
}

func clearPacket(payload []byte) []byte {
	pad := 8 - (5+len(payload))%8
	if pad < 4 {
		pad += 8
	}
	p := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+pad))
	p = append(append(p, byte(pad)), payload...)
	return append(p, make([]byte, pad)...)
}

func (h *hostile) clear() []byte {
	h.t.Helper()
	head := make([]byte, 5)
	if _, err := io.ReadFull(h.in, head); err != nil {
		h.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head)-1)
	if _, err := io.ReadFull(h.in, body); err != nil {
		h.t.Fatal(err)
	}
	return body[:len(body)-int(head[4])]
}

// newKeys says that the keys are in use.
func (h *hostile) newKeys() []byte { return clearPacket([]byte{21}) }

// sealed encrypts packets, with as little padding as the other side takes.
func (h *hostile) sealed(payloads ...[]byte) []byte {
	var out []byte
	for _, payload := range payloads {
		pad := 4
		length := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+pad))
		plain := append(append([]byte{byte(pad)}, payload...), make([]byte, pad)...)
		out = append(out, length...)
		out = h.aead.Seal(out, h.iv, plain, length)
		for i := 11; i >= 4; i-- {
			if h.iv[i]++; h.iv[i] != 0 {
				break
			}
		}
	}
	return out
}

func serviceRequest(name string) []byte {
	return ssh.Marshal(struct {
		Service string `sshtype:"5"`
	}{name})
}

// publicKeyOffer asks whether a key would do, or claims to prove it.
func publicKeyOffer(user string, key PublicKey, signature []byte) []byte {
	head := ssh.Marshal(struct {
		User    string `sshtype:"50"`
		Service string
		Method  string
		Proof   bool
		Algo    string
		Key     []byte
	}{user, "ssh-connection", "publickey", signature != nil, key.Type(), []byte(key)})
	if signature != nil {
		head = append(head, ssh.Marshal(struct{ Signature []byte }{signature})...)
	}
	return head
}
