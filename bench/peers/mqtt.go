package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"kozo/bench/internal/traffic"
)

// The least of MQTT 3.1.1 that moves messages of QoS 0, with a buffer of 32 KiB
// before the socket: what the broker can do when no client is in the way.

// Types of packets, with the flags that they must have.
const (
	mqttConnect   = 0x10
	mqttConnack   = 0x20
	mqttPublish   = 0x30
	mqttSubscribe = 0x82
	mqttSuback    = 0x90
)

// mqttBus is for one goroutine.
type mqttBus struct {
	out  *bufio.Writer
	head []byte
}

func mqttDial(config *tls.Config, address, topic string, take func([]byte)) (bus, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	b := &mqttBus{out: bufio.NewWriterSize(conn, 32<<10)}
	in := bufio.NewReaderSize(conn, 64<<10)
	// A clean session without keepalive; then one subscription, number 1.
	hello := append(mqttText(nil, "MQTT"), 4, 2, 0, 0)
	err = errors.Join(
		b.packet(mqttConnect, mqttText(hello, clientID()), nil),
		b.packet(mqttSubscribe, append(mqttText([]byte{0, 1}, topic), 0), nil),
		b.out.Flush(),
	)
	for _, want := range []byte{mqttConnack, mqttSuback} {
		var kind byte
		var body []byte
		if err == nil {
			kind, body, err = readMQTT(in, nil)
		}
		if err == nil && (kind != want || len(body) == 0 || body[len(body)-1] != 0) {
			err = fmt.Errorf("the broker answers %x %x", kind, body)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	go func() {
		if err := mqttReceive(in, take); err != nil {
			fmt.Fprintln(os.Stderr, "peers:", err)
			os.Exit(1) // this process has nothing else to do
		}
	}()
	return b, nil
}

func mqttReceive(in *bufio.Reader, take func([]byte)) error {
	var buf []byte
	for {
		kind, body, err := readMQTT(in, buf)
		if err != nil {
			return err
		}
		buf = body[:0]
		if kind != mqttPublish || len(body) < 2 {
			continue
		}
		topic := int(binary.BigEndian.Uint16(body)) + 2
		if topic > len(body) {
			return io.ErrUnexpectedEOF
		}
		take(body[topic:])
	}
}

// readMQTT reads a packet, into buf if that is large enough.
func readMQTT(in *bufio.Reader, buf []byte) (kind byte, body []byte, err error) {
	if kind, err = in.ReadByte(); err != nil {
		return 0, nil, err
	}
	size, err := binary.ReadUvarint(in)
	if err != nil {
		return 0, nil, err
	}
	if size > traffic.MaxMessage {
		return 0, nil, fmt.Errorf("a packet has %d bytes", size)
	}
	if uint64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	body = buf[:size]
	_, err = io.ReadFull(in, body)
	return kind, body, err
}

func (b *mqttBus) packet(kind byte, first, second []byte) error {
	b.head = binary.AppendUvarint(append(b.head[:0], kind), uint64(len(first)+len(second)))
	b.out.Write(b.head) // an error stays, and comes back from the last one
	b.out.Write(first)
	_, err := b.out.Write(second)
	return err
}

func (b *mqttBus) publish(topic string, p []byte) error {
	var name [64]byte
	return b.packet(mqttPublish, mqttText(name[:0], topic), p)
}

func (b *mqttBus) flush() error { return b.out.Flush() }

func mqttText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
