package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"kozo/bench/peers/keys"
)

// mosquittoSystems are Mosquitto with TLS 1.3, client certificates and QoS 0: with a
// client that coalesces its writes, and with the usual one.
func mosquittoSystems() []system {
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto" // not in everybody's path
	}
	out, _ := exec.Command(program, "-h").CombinedOutput() // it ends with an error, and says what it is
	version := regexp.MustCompile(`mosquitto version (\S+)`).FindSubmatch(out)
	if version == nil {
		return nil
	}
	about := "mosquitto " + string(version[1]) + ", TLS 1.3, client certificates, QoS 0, "
	broker := func(_ context.Context, dir, address string) error { return mosquitto(program, dir, address) }
	of := func(name, client string, dial func(config *tls.Config, address, topic string, take func([]byte)) (bus, error)) system {
		end := func(dir, address, topic string, take func([]byte)) (bus, error) {
			config, err := keys.TLS(dir, keys.Client)
			if err != nil {
				return nil, err
			}
			return retry(func() (bus, error) { return dial(config, address, topic, take) })
		}
		return system{
			Name: name, Version: about + client, Broker: true, broker: broker,
			source: func(dir, address string, _, _ int, credit func([]byte)) (bus, error) {
				return end(dir, address, creditTopic, credit)
			},
			sink: func(dir, address string, take func([]byte)) (bus, error) {
				return end(dir, address, payloadTopic, take)
			},
		}
	}
	return []system{
		of("mosquitto", "a client that coalesces writes", mqttDial),
		of("mosquitto-paho", "the paho client", pahoDial),
	}
}

// mosquitto becomes the broker, so that its CPU time is that of this process.
func mosquitto(program, dir, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`listener %s %s
cafile %s
certfile %s
keyfile %s
tls_version tlsv1.3
require_certificate true
use_identity_as_username true
allow_anonymous false
persistence false
log_type error
set_tcp_nodelay true
max_queued_messages 0
user root
`, port, host, keys.CA(dir), keys.Cert(dir, keys.Server), keys.Key(dir, keys.Server))
	name := filepath.Join(dir, "mosquitto-"+port+".conf")
	if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
		return err
	}
	return syscall.Exec(program, []string{"mosquitto", "-c", name}, os.Environ())
}

// pahoBus writes every message by itself, as that client does.
type pahoBus struct{ client mqtt.Client }

func (b pahoBus) publish(topic string, p []byte) error {
	t := b.client.Publish(topic, 0, false, append([]byte(nil), p...)) // it keeps what it is given
	select {
	case <-t.Done():
		return t.Error()
	default:
		return nil
	}
}

func (b pahoBus) flush() error { return nil }

func pahoDial(config *tls.Config, address, topic string, take func([]byte)) (bus, error) {
	o := mqtt.NewClientOptions().AddBroker("ssl://" + address).SetTLSConfig(config).
		SetClientID(clientID()).SetAutoReconnect(false).SetProtocolVersion(4)
	b := pahoBus{mqtt.NewClient(o)}
	if t := b.client.Connect(); t.Wait() && t.Error() != nil {
		return nil, t.Error()
	}
	t := b.client.Subscribe(topic, 0, func(_ mqtt.Client, m mqtt.Message) { take(m.Payload()) })
	t.Wait()
	return b, t.Error()
}

func clientID() string { return fmt.Sprintf("bench%d", os.Getpid()) }
