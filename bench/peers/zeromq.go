//go:build zeromq

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	zmq "github.com/pebbe/zmq4"
)

// curveKeys are those of both ends.
type curveKeys struct {
	ServerPublic, ServerSecret, ClientPublic, ClientSecret string
}

const (
	curveFile   = "curve.json"
	curveDomain = "bench"
)

func prepareZeromq(dir string) error {
	var k curveKeys
	var err1, err2 error
	k.ServerPublic, k.ServerSecret, err1 = zmq.NewCurveKeypair()
	k.ClientPublic, k.ClientSecret, err2 = zmq.NewCurveKeypair()
	text, err := json.Marshal(k)
	if err := errors.Join(err, err1, err2); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, curveFile), text, 0o600)
}

func readCurveKeys(dir string) (k curveKeys, err error) {
	text, err := os.ReadFile(filepath.Join(dir, curveFile))
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(text, &k)
}

// zeromqSystems is ZeroMQ with CURVE, publish and subscribe. The publisher waits
// when a subscriber's queue is full (XPUB_NODROP), so it needs no credits.
func zeromqSystems() []system {
	if !zmq.HasCurve() {
		return nil
	}
	major, minor, patch := zmq.Version()
	return []system{{
		Name: "zeromq", Version: fmt.Sprintf("libzmq %d.%d.%d, CURVE, XPUB_NODROP", major, minor, patch),
		source: zeromqSource, sink: zeromqSink, brakes: true,
	}}
}

// zeromqBus prefixes the topic, which is what subscriptions are matched with.
type zeromqBus struct {
	socket *zmq.Socket
	buf    []byte
}

func (b *zeromqBus) publish(topic string, p []byte) error {
	b.buf = append(append(b.buf[:0], topic...), p...)
	_, err := b.socket.SendBytes(b.buf, 0)
	return err
}

func (b *zeromqBus) flush() error { return nil }

func zeromqSource(dir, address string, window, sinks int, _ func([]byte)) (bus, error) {
	k, err := readCurveKeys(dir)
	if err != nil {
		return nil, err
	}
	if err := zmq.AuthStart(); err != nil {
		return nil, err
	}
	zmq.AuthCurveAdd(curveDomain, k.ClientPublic)
	s, err := zmq.NewSocket(zmq.XPUB)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		s.ServerAuthCurve(curveDomain, k.ServerSecret), s.SetSndhwm(window),
		s.SetXpubNodrop(true), s.SetXpubVerbose(1), s.Bind("tcp://"+address),
	); err != nil {
		return nil, err
	}
	for range sinks { // each subscribes once
		if _, err := s.RecvBytes(0); err != nil {
			return nil, err
		}
	}
	return &zeromqBus{socket: s}, nil
}

func zeromqSink(dir, address string, take func([]byte)) (bus, error) {
	k, err := readCurveKeys(dir)
	if err != nil {
		return nil, err
	}
	s, err := zmq.NewSocket(zmq.SUB)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		s.ClientAuthCurve(k.ServerPublic, k.ClientPublic, k.ClientSecret), s.SetRcvhwm(1000),
		s.SetSubscribe(payloadTopic), s.Connect("tcp://"+address),
	); err != nil {
		return nil, err
	}
	go func() {
		for {
			b, err := s.RecvBytes(0)
			if err != nil || len(b) < len(payloadTopic) {
				fmt.Fprintln(os.Stderr, "peers: zeromq:", err)
				os.Exit(1) // this process has nothing else to do
			}
			take(b[len(payloadTopic):])
		}
	}()
	return &zeromqBus{socket: s}, nil
}
