// Command natsd is a NATS server that the bench measures. Without arguments it
// prints its version, else it takes the directory of the keys and an address.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"kozo/bench/peers/keys"
)

// longest is how long a forgotten server runs.
const longest = 5 * time.Minute

func main() {
	if len(os.Args) == 1 {
		fmt.Println(server.VERSION)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "natsd:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: natsd [DIR ADDRESS]")
	}
	config, err := keys.TLS(args[0], keys.Server)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(args[1])
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{
		Host: host, Port: number, NoLog: true, NoSigs: true,
		TLS: true, TLSVerify: true, TLSConfig: config, TLSTimeout: 10,
	})
	if err != nil {
		return err
	}
	s.Start()
	defer s.Shutdown()
	select {
	case <-ctx.Done():
	case <-time.After(longest):
	}
	return nil
}
