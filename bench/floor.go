package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"kozo/bench/internal/traffic"
	"kozo/internal/wire"
)

// A floor is what the network, and encryption, cost without Kōzō: one process
// writes messages to one stream, another one reads, decodes and counts them. There
// are no queues, no roles and no heartbeats; the messages are the same.
type floor struct {
	name   string
	cipher string // of SSH
	secure bool   // TLS 1.3 if there is no cipher
	each   bool   // one write a message; else pieces of 32 KiB
}

// The floors: SSH with the cheapest cipher, which the targets are about; with the
// cipher that nodes use if their configuration does not say; with a write for
// each message; and what SSH itself costs more than others.
var floors = [...]floor{
	{name: "ssh", cipher: "aes128-gcm@openssh.com", secure: true},
	{name: "ssh-aes256", cipher: "aes256-gcm@openssh.com", secure: true},
	{name: "ssh-each", cipher: "aes128-gcm@openssh.com", secure: true, each: true},
	{name: "tls", secure: true},
	{name: "tcp"},
}

const (
	floorPiece = 32 << 10
	floorUser  = "floor"
)

func floorNamed(name string) (floor, bool) {
	for _, f := range floors {
		if f.name == name {
			return f, true
		}
	}
	return floor{}, false
}

// floorReceive is the receiving process. Its arguments are the name of the floor,
// and for which time and how many latencies to leave out and to report. It prints
// its address first.
func floorReceive(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("floor-receive takes a floor, a time to skip and a number of samples")
	}
	f, _ := floorNamed(args[0])
	skip, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	samples, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println(l.Addr())
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	stream, err := f.accept(conn)
	if err != nil {
		return err
	}
	m := traffic.NewMeter(skip, samples)
	done := make(chan struct{})
	defer close(done)
	go func() { _ = m.Run(done, os.Stdout) }() // fails if the bench has gone, as will this
	return floorCount(stream, m)
}

// floorCount reads messages until there are no more.
func floorCount(r io.Reader, m *traffic.Meter) error {
	sink := traffic.NewSink(m)
	for in := wire.NewReader(r, traffic.MaxMessage); ; {
		_, payload, err := in.Next()
		if err != nil {
			return err
		}
		if _, err := sink.Take(payload); err != nil {
			return err
		}
	}
}

// floorSend is the sending process. Its arguments are the name of the floor, the
// address, the size of a message and the rate, 0 for as fast as possible.
func floorSend(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("floor-send takes a floor, an address, a size and a rate")
	}
	f, _ := floorNamed(args[0])
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	rate, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	source, err := traffic.NewSource(size)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", args[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	stream, err := f.dial(conn)
	if err != nil {
		return err
	}
	if rate > 0 {
		return traffic.Pace(ctx, rate, 0, func() error {
			_, err := stream.Write(source.Append(nil))
			return err
		})
	}
	for piece := []byte(nil); ; {
		for len(piece) == 0 || !f.each && len(piece) < floorPiece {
			piece = source.Append(piece)
		}
		// Whole pieces: what is over stays for the next one.
		whole := len(piece)
		if !f.each {
			whole -= whole % floorPiece
		}
		if _, err := stream.Write(piece[:whole]); err != nil {
			return err
		}
		piece = piece[:copy(piece, piece[whole:])]
	}
}

// The bench measures; it guards nothing. The floors' addresses are on the loopback,
// what arrives is thrown away, and who does not ask for a key has less to do only
// before the first message.

// accept is the listening side of the encryption.
func (f floor) accept(conn net.Conn) (io.Reader, error) {
	if !f.secure {
		return conn, nil
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	if f.cipher == "" {
		cert, err := selfSigned(key)
		if err != nil {
			return nil, err
		}
		return tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}), nil
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, err
	}
	config := &ssh.ServerConfig{NoClientAuth: true, Config: ssh.Config{Ciphers: []string{f.cipher}}}
	config.AddHostKey(signer)
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	first, ok := <-channels
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	channel, requests, err := first.Accept()
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	return channel, nil
}

// dial is the other side.
func (f floor) dial(conn net.Conn) (io.Writer, error) {
	if !f.secure {
		return conn, nil
	}
	if f.cipher == "" {
		return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}), nil
	}
	client, channels, requests, err := ssh.NewClientConn(conn, floorUser, &ssh.ClientConfig{
		User: floorUser, Config: ssh.Config{Ciphers: []string{f.cipher}},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	go func() {
		for c := range channels {
			_ = c.Reject(ssh.Prohibited, "")
		}
	}()
	channel, requests, err := client.OpenChannel("floor", nil)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	return channel, nil
}

func selfSigned(key ed25519.PrivateKey) (tls.Certificate, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
