// Command greenhouse is kozo with a role and a transport of its own.
package main

import (
	"log"
	"os"

	"kozo/cli"
	"kozo/examples/greenhouse/thermostat"
	"kozo/examples/greenhouse/unixsocket"
	"kozo/standard"
)

func main() {
	types := standard.Registry()
	if err := types.AddRole(thermostat.Type()); err != nil {
		log.Fatal(err)
	}
	if err := types.AddTransport(unixsocket.Type()); err != nil {
		log.Fatal(err)
	}
	os.Exit(cli.Main(types, os.Args[1:]))
}
