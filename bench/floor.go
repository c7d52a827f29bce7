package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

// The floor is what encryption and the network cost without Kōzō: one process
// writes messages, back to back in pieces of 32 KiB, to one SSH channel, another one
// reads and counts them. A message is its length, the time, and the content.

const (
	floorPiece  = 32 << 10
	floorHeader = 4 + 8
	floorUser   = "floor"
)

// floorReceive is the receiving process. Its arguments are the cipher, and for
// which time and how many latencies to leave out and to report. It prints its address first.
func floorReceive(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("floor-receive takes a cipher, a time to skip and a number of samples")
	}
	skip, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	samples, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	signer, err := newSigner()
	if err != nil {
		return err
	}
	// The bench measures; it guards nothing. The address is on the loopback, and
	// what arrives is thrown away.
	config := &ssh.ServerConfig{NoClientAuth: true, Config: ssh.Config{Ciphers: []string{args[0]}}}
	config.AddHostKey(signer)
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
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return err
	}
	go ssh.DiscardRequests(requests)
	channel, requests, err := (<-channels).Accept()
	if err != nil {
		return err
	}
	go ssh.DiscardRequests(requests)

	m := newMeter(skip, samples)
	done := make(chan struct{})
	defer close(done)
	go func() { _ = m.run(done, os.Stdout) }() // fails if the bench has gone, as will this
	return floorCount(channel, m)
}

// floorCount reads messages until there are no more.
func floorCount(r io.Reader, m *meter) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var header [floorHeader]byte
	for n := uint64(1); ; n++ {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return err
		}
		sent := time.Unix(0, int64(binary.BigEndian.Uint64(header[4:])))
		if _, err := in.Discard(int(binary.BigEndian.Uint32(header[:]))); err != nil {
			return err
		}
		m.count(n, sent)
	}
}

// floorSend is the sending process. Its arguments are the cipher, the address,
// the size of a message and the rate, 0 for as fast as possible.
func floorSend(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("floor-send takes a cipher, an address, a size and a rate")
	}
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	rate, err := strconv.Atoi(args[3])
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
	client, channels, requests, err := ssh.NewClientConn(conn, args[1], &ssh.ClientConfig{
		User: floorUser, Config: ssh.Config{Ciphers: []string{args[0]}},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return err
	}
	go ssh.DiscardRequests(requests)
	go func() {
		for c := range channels {
			_ = c.Reject(ssh.Prohibited, "")
		}
	}()
	channel, requests, err := client.OpenChannel("floor", nil)
	if err != nil {
		return err
	}
	go ssh.DiscardRequests(requests)

	content := make([]byte, size)
	if rate > 0 {
		return pace(ctx, rate, func() error {
			_, err := channel.Write(appendFloor(nil, content))
			return err
		})
	}
	for piece := make([]byte, 0, floorPiece+floorHeader+size); ; {
		for len(piece) < floorPiece {
			piece = appendFloor(piece, content)
		}
		// Whole pieces: what is over stays for the next one.
		whole := len(piece) / floorPiece * floorPiece
		if _, err := channel.Write(piece[:whole]); err != nil {
			return err
		}
		piece = piece[:copy(piece, piece[whole:])]
	}
}

func appendFloor(b, content []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(content)))
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixNano()))
	return append(b, content...)
}

func newSigner() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}
