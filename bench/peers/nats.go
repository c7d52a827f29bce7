package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"

	"kozo/bench/peers/keys"
)

// natsSystems is NATS with TLS 1.3 and client certificates.
func natsSystems() []system {
	program, version, err := natsServer()
	if err != nil {
		return nil
	}
	return []system{{
		Name: "nats", Version: "nats-server " + version + ", nats.go " + nats.Version + ", TLS 1.3, client certificates", Broker: true,
		broker: func(_ context.Context, dir, address string) error { return natsBroker(program, dir, address) },
		source: func(dir, address string, _, _ int, credit func([]byte)) (bus, error) {
			return natsDial(dir, address, creditTopic, credit)
		},
		sink: func(dir, address string, take func([]byte)) (bus, error) {
			return natsDial(dir, address, payloadTopic, take)
		},
	}}
}

// natsBroker becomes the server, a program of its own: its memory is not to be
// that of the ends, nor theirs its.
func natsBroker(program, dir, address string) error {
	return syscall.Exec(program, []string{"natsd", dir, address}, os.Environ())
}

// natsServer finds the server beside this program, and its version.
func natsServer() (program, version string, err error) {
	exe, err := os.Executable()
	if err != nil {
		return "", "", err
	}
	program = filepath.Join(filepath.Dir(exe), "natsd")
	out, err := exec.Command(program).Output()
	return program, strings.TrimSpace(string(out)), err
}

// natsBus writes as the client library does: by itself, when it has something.
type natsBus struct{ conn *nats.Conn }

func (b natsBus) publish(topic string, p []byte) error { return b.conn.Publish(topic, p) }
func (b natsBus) flush() error                         { return nil }

func natsDial(dir, address, topic string, take func([]byte)) (bus, error) {
	config, err := keys.TLS(dir, keys.Client)
	if err != nil {
		return nil, err
	}
	conn, err := retry(func() (*nats.Conn, error) {
		return nats.Connect("tls://"+address, nats.Secure(config), nats.NoReconnect())
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	sub, err := conn.Subscribe(topic, func(m *nats.Msg) { take(m.Data) })
	if err != nil {
		return nil, err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the window bounds it
		return nil, err
	}
	return natsBus{conn}, conn.Flush()
}
