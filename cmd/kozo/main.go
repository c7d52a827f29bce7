// Command kozo runs a node of a Kōzō network, and looks after networks: see the
// package kozo/cli. A program with roles or transports of its own is this one
// with a larger registry.
package main

import (
	"os"

	"kozo/cli"
	"kozo/standard"
)

func main() { os.Exit(cli.Main(standard.Registry(), os.Args[1:])) }
