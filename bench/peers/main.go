// Command peers has both ends, and the broker where there is one, of what people
// would pick instead of Kōzō: NATS, MQTT with Mosquitto, and ZeroMQ. The bench
// runs it; nobody else needs to. Every system is encrypted and authenticated, as
// Kōzō always is, and moves the same messages.
//
//	peers prepare DIR                      makes keys in DIR, prints the systems as JSON
//	peers broker SYSTEM DIR ADDRESS        carries messages
//	peers receive SYSTEM DIR ADDRESS CREDIT SKIP SAMPLES
//	peers send SYSTEM DIR ADDRESS SIZE RATE WINDOW SINKS
//
// ZeroMQ needs the C library: it is there if built with -tags zeromq.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"kozo/bench/peers/keys"
)

// longest is how long any part may run: a forgotten one ends by itself.
const longest = 5 * time.Minute

// system is one way to move messages.
type system struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Broker  bool   `json:"broker"`

	// broker runs what is between the ends.
	broker func(ctx context.Context, dir, address string) error
	// source connects the sending end to a number of sinks. Credits that arrive
	// go to the function, from one goroutine; a system that holds the
	// sender back by itself has none.
	source func(dir, address string, window, sinks int, credit func([]byte)) (bus, error)
	// sink connects a receiving end. What arrives goes to the function, from one
	// goroutine, and is valid until it returns.
	sink func(dir, address string, take func([]byte)) (bus, error)
	// brakes says that the sender is held back by the system, without credits.
	brakes bool
}

// bus is what an end writes to.
type bus interface {
	publish(topic string, b []byte) error // may keep it until flush; b can be used again
	flush() error
}

// What messages are published under.
const (
	payloadTopic = "payload"
	creditTopic  = "credit"
)

// systems are those that this program and this machine have.
func systems() []system {
	return slices.Concat(natsSystems(), mosquittoSystems(), zeromqSystems())
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- run(ctx, os.Args[1:]) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done(): // the C library cannot be interrupted; there is nothing to save
	case <-time.After(longest):
		err = errors.New("this has run for too long")
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "prepare" {
		if err := errors.Join(keys.Make(args[1]), prepareZeromq(args[1])); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(systems())
	}
	if len(args) < 4 {
		return errors.New("this is a part of make bench")
	}
	part, name, dir, address := args[0], args[1], args[2], args[3]
	for _, s := range systems() {
		if s.Name != name {
			continue
		}
		switch rest := args[4:]; {
		case part == "broker" && s.broker != nil:
			return s.broker(ctx, dir, address)
		case part == "receive" && len(rest) == 3:
			return receive(ctx, s, dir, address, rest)
		case part == "send" && len(rest) == 4:
			return send(ctx, s, dir, address, rest)
		}
	}
	return fmt.Errorf("%s has no %s with these arguments", name, part)
}

// numbers parses arguments that are numbers.
func numbers(args []string) ([]int, error) {
	var list []int
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// retry repeats what fails while the other side is starting.
func retry[T any](try func() (T, error)) (T, error) {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		v, err := try()
		if err == nil || time.Now().After(end) {
			return v, err
		}
	}
}
