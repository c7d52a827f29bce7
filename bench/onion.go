package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kozo"
	"kozo/internal/torlab"
	"kozo/standard"
)

// onionPart measures a link over Tor: a network of tor processes on this machine,
// so that what the distance costs is not in it. The services of the nodes are new
// each time. It is measured only if it is asked for, since it needs tor.
const onionPart = "onion"

// measureOverTor measures some rounds in one Tor network.
func measureOverTor(ctx context.Context, load slowLoad, say func(string, ...any)) (*slowLink, error) {
	if missing := torlab.Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("%w: not installed: %s", errUnavailable, strings.Join(missing, ", "))
	}
	dir, err := os.MkdirTemp("", "kozo-bench-tor-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	say("build a Tor network")
	building, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	lab, err := torlab.New(building, dir)
	if err != nil {
		return nil, err
	}
	defer lab.Close()
	var tors [2]*torlab.Tor
	for i := range tors {
		if tors[i], err = lab.Client(building, torlab.Client{Name: fmt.Sprintf("client%d", i)}); err != nil {
			return nil, err
		}
		if err := tors[i].Joined(building); err != nil {
			return nil, err
		}
	}
	return measureSlowLink(ctx, load, func(n *network) error { return n.moveToTor(tors) }, say)
}

// moveToTor gives the nodes onion transports instead of those over TCP.
func (n *network) moveToTor(tors [2]*torlab.Tor) error {
	typ, ok := standard.Registry().Transport("onion")
	if !ok {
		return errors.New("there is no transport of type onion")
	}
	var onions []string
	for i, name := range n.nodes {
		keys := filepath.Join(n.dir, name+".onion")
		t, err := typ.New(kozo.Values{"controlPort": tors[i].Control(), "keyFile": kozo.Path(keys)})
		if err != nil {
			return err
		}
		values, err := t.(kozo.Announcer).Announce(&kozo.TransportEnv{})
		if err != nil {
			return err
		}
		onions = append(onions, fmt.Sprintf("      onion:\n        address: %s\n        port: %d\n        socksProxy: %s\n        controlPort: %s\n        keyFile: %s\n",
			values["address"], n.ports[i], tors[i].Socks(), tors[i].Control(), keys))
	}
	return n.replaceTCP(onions)
}

func (r *results) tableOnion() string { return r.slowText(onionPart, r.Onion, "") }
