// Command peer is kozo with two more roles, by which the tests of this directory
// can tell what has happened to each message: a source of numbers, and a sink
// that writes down which of them arrive, from whom and in which order.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"kozo"
	"kozo/cli"
	"kozo/standard"
)

func main() {
	types := standard.Registry()
	for _, r := range []kozo.RoleType{
		kozo.DefineRole("source", "Sends numbers that only grow, until the node gets a SIGHUP.",
			func(o sourceOptions) (kozo.Role, error) { return source{o}, nil }),
		kozo.DefineRole("sink", "Writes the numbers that arrive to a file.",
			func(o sinkOptions) (kozo.Role, error) { return sink{o}, nil }),
	} {
		if err := types.AddRole(r); err != nil {
			log.Fatal(err)
		}
	}
	os.Exit(cli.Main(types, os.Args[1:]))
}

type sourceOptions struct {
	Every time.Duration `option:"every" default:"0.02" min:"0.001" doc:"time between two numbers"`
}

type source struct{ sourceOptions }

func (s source) Publishes() []kozo.Filter { return []kozo.Filter{{Kind: kozo.Event, Type: "number"}} }

// Run begins with the time, so that the numbers grow over restarts too.
func (s source) Run(ctx context.Context, env *kozo.Env) error {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for number := time.Now().UnixMicro(); ; number++ {
		select {
		case <-ctx.Done():
			return nil
		case <-env.Reopen: // asks for no message, which would have to be counted too
			return nil
		case <-ticker.C:
		}
		if err := env.Event("number", number); err != nil {
			return err
		}
	}
}

type sinkOptions struct {
	File kozo.Path `option:"file" doc:"file to add to, a line for each number: the node that sent it, and the number"`
}

type sink struct{ sinkOptions }

func (s sink) Interest() []kozo.Filter { return []kozo.Filter{{Kind: kozo.Event, Type: "number"}} }

func (s sink) Publishes() []kozo.Filter { return []kozo.Filter{} }

func (s sink) Run(ctx context.Context, env *kozo.Env) error {
	f, err := os.OpenFile(string(s.File), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for m := range env.Messages(ctx) {
		number, err := m.Body.Value()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(f, m.From.Node, number); err != nil {
			return err
		}
	}
	return nil
}
