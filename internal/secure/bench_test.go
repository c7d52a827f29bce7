package secure

import (
	"io"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
)

// The streams of this package against a bare channel of the ssh package, both
// over a socket. Messages have 256 bytes and are put together into pieces.
const message = 256

func BenchmarkStream(b *testing.B) {
	for _, cipher := range []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherAES256CTR} {
		for name, piece := range map[string]int{"coalesced": 32 << 10, "single": message} {
			b.Run(cipher+"/"+name, func(b *testing.B) {
				x, y := socketPair(b)
				s := newSystem(b, "clock", "scribe")
				client, server := s.config("clock"), s.config("scribe")
				client.Ciphers = []string{cipher}
				out := serve(b, y, server)
				c, err := Client(b.Context(), x, "scribe", client)
				if err != nil {
					b.Fatal(err)
				}
				d := served((<-out).conn)
				defer c.Close(nil)
				defer d.Close(nil)
				from, err := c.Open(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				transfer(b, from, d.accept(b), piece)
			})
		}
	}
}

func BenchmarkBare(b *testing.B) {
	for _, cipher := range []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherAES256CTR} {
		b.Run(cipher+"/coalesced", func(b *testing.B) {
			x, y := socketPair(b)
			key := newTestKey(b)
			server := &ssh.ServerConfig{NoClientAuth: true, Config: ssh.Config{Ciphers: []string{cipher}, MACs: []string{ssh.HMACSHA256ETM}}}
			server.AddHostKey(key.signer)
			accepted := make(chan ssh.Channel)
			go func() {
				_, chans, reqs, err := ssh.NewServerConn(y, server)
				if err != nil {
					return
				}
				go ssh.DiscardRequests(reqs)
				for c := range chans {
					channel, reqs, err := c.Accept()
					if err != nil {
						return
					}
					go ssh.DiscardRequests(reqs)
					accepted <- channel
				}
			}()
			c, chans, reqs, err := ssh.NewClientConn(x, "", &ssh.ClientConfig{User: "x", HostKeyCallback: ssh.InsecureIgnoreHostKey()})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			go ssh.DiscardRequests(reqs)
			go func() {
				for range chans {
				}
			}()
			channel, chReqs, err := c.OpenChannel("x", nil)
			if err != nil {
				b.Fatal(err)
			}
			go ssh.DiscardRequests(chReqs)
			transfer(b, channel, <-accepted, 32<<10)
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	for _, name := range []string{"ed25519", "rsa"} {
		key := testKey(b, name)
		b.Run(name, func(b *testing.B) {
			s := newSystem(b, "clock", "scribe")
			s.keys["clock"], s.keys["scribe"] = key, key
			client, server := s.config("clock"), s.config("scribe")
			for b.Loop() {
				x, y := socketPair(b)
				out := serve(b, y, server)
				c, err := Client(b.Context(), x, "scribe", client)
				if err != nil {
					b.Fatal(err)
				}
				d := (<-out).conn
				c.Close(nil)
				d.Close(nil)
			}
		})
	}
}

func transfer(b *testing.B, from io.Writer, to io.Reader, piece int) {
	b.SetBytes(message)
	b.ReportAllocs()
	b.ResetTimer()
	received := make(chan error, 1)
	size := int64(b.N) * message
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.LimitReader(to, size)}, make([]byte, 64<<10))
		received <- err
	}()
	buffer := make([]byte, piece)
	for left := size; left > 0; {
		n, err := from.Write(buffer[:min(left, int64(piece))])
		if err != nil {
			b.Fatal(err)
		}
		left -= int64(n)
	}
	if err := <-received; err != nil {
		b.Fatal(err)
	}
}

func socketPair(b testing.TB) (net.Conn, net.Conn) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	x, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return x, y
}
