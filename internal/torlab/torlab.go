// Package torlab makes a private Tor network on 127.0.0.1, for tests and for
// measurements: an authority, some relays and any number of clients, all of them
// real tor processes. Nothing of it reaches beyond this machine, and none of it
// needs to be root.
//
// A network is there 10 to 30 seconds after it was asked for, most of which is
// waiting. An onion service in it can be reached 2 seconds after it was added.
package torlab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// relays is how many there are beside the authority, which is one itself. Three
// are the least with which onion services work.
const relays = 4

// Missing returns the programs that a network needs and that are not installed.
func Missing() []string {
	var missing []string
	for _, program := range []string{"tor", "tor-gencert"} {
		if find(program) == "" {
			missing = append(missing, program)
		}
	}
	return missing
}

// find returns the path of a program. Debian has tor where only root looks.
func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if path, err := exec.LookPath(filepath.Join("/usr/sbin", program)); err == nil {
		return path
	}
	return ""
}

// Network is a Tor network. It is safe for concurrent use.
type Network struct {
	dir       string
	authority *Tor
	directory string // the line of torrc that names the authority

	mu    sync.Mutex
	tors  []*Tor
	ports []int // given out
}

// New makes a network in a directory that exists, and returns when it has agreed
// on who belongs to it. Whoever gets it closes it.
func New(ctx context.Context, dir string) (*Network, error) {
	if missing := Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("not installed: %s", strings.Join(missing, ", "))
	}
	n := &Network{dir: dir}
	if err := n.build(ctx); err != nil {
		n.Close()
		return nil, fmt.Errorf("the Tor network was not built: %w", err)
	}
	return n, nil
}

func (n *Network) build(ctx context.Context) error {
	directory, err := n.port()
	if err != nil {
		return err
	}
	if n.authority, err = n.add("auth0"); err != nil {
		return err
	}
	orPort, err := n.port()
	if err != nil {
		return err
	}
	if err := n.authority.certify(ctx, directory, orPort); err != nil {
		return err
	}
	if err := n.authority.start(ctx, n.authority.relayLines(orPort)+authorityLines(directory)+n.directory); err != nil {
		return err
	}
	var starting sync.WaitGroup
	errs := make([]error, relays)
	for i := range relays {
		starting.Go(func() { errs[i] = n.addRelay(ctx, fmt.Sprintf("relay%d", i)) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return n.agree(ctx)
}

func (n *Network) add(name string) (*Tor, error) {
	t := &Tor{Name: name, network: n, dir: filepath.Join(n.dir, name)}
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if t.control, err = n.port(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tors = append(n.tors, t)
	return t, nil
}

func (n *Network) addRelay(ctx context.Context, name string) error {
	t, err := n.add(name)
	if err != nil {
		return err
	}
	port, err := n.port()
	if err != nil {
		return err
	}
	if err := t.claimBandwidth(); err != nil {
		return err
	}
	return t.start(ctx, t.relayLines(port)+n.directory)
}

// agree makes the authority vote as soon as it knows all relays, instead of at
// the end of a fixed time, and waits for the result.
func (n *Network) agree(ctx context.Context) error {
	err := n.authority.until(ctx, "desc/all-recent", func(answer string) bool {
		return strings.Count("\n"+answer, "\nrouter ") == relays+1
	})
	if err != nil {
		return err
	}
	const lead = 3 // seconds in which it votes
	offset := (time.Now().Unix() + lead) % 5
	if _, err := n.authority.ask(ctx, fmt.Sprintf("SETCONF TestingV3AuthInitialVotingInterval=5 TestingV3AuthVotingStartOffset=%d", offset)); err != nil {
		return err
	}
	return n.authority.until(ctx, "consensus/valid-after", func(answer string) bool { return answer != "" })
}

// Client is what a tor for programs that use the network is to be like.
type Client struct {
	Name  string
	Lines []string // of its torrc, beside the usual
	Env   []string // of the process, beside the usual
	Lost  bool     // it looks for the network where nobody is, and goes on for ever
}

// Client adds a tor for programs. It has not joined the network yet when it is
// returned.
func (n *Network) Client(ctx context.Context, c Client) (*Tor, error) {
	t, err := n.add(c.Name)
	if err != nil {
		return nil, err
	}
	t.env = c.Env
	if t.socks, err = n.port(); err != nil {
		return nil, err
	}
	directory := n.directory
	if c.Lost {
		nobody, err := n.port()
		if err != nil {
			return nil, err
		}
		directory = place.ReplaceAllString(directory, fmt.Sprintf("${1}%d", nobody))
	}
	text := fmt.Sprintf("SocksPort 127.0.0.1:%d ExtendedErrors\nFetchDirInfoEarly 1\nFetchDirInfoExtraEarly 1\n%s\n%s",
		t.socks, strings.Join(c.Lines, "\n"), directory)
	return t, t.start(ctx, text)
}

// place finds the ports of the authority in the line about it.
var place = regexp.MustCompile(`(orport=|127\.0\.0\.1:)\d+`)

// Close ends all processes of the network.
func (n *Network) Close() {
	n.mu.Lock()
	tors := slices.Clone(n.tors)
	n.mu.Unlock()
	var stopping sync.WaitGroup
	for _, t := range tors {
		stopping.Go(t.Stop)
	}
	stopping.Wait()
}

// Ports are taken from below the range out of which systems serve those who ask
// for any port: nobody else is given one before its tor has bound it.
const firstPort, lastPort = 15000, 32000

// port returns a port of the loopback address that nobody uses now, another one
// at each call.
func (n *Network) port() (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if slices.Contains(n.ports, port) {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			n.ports = append(n.ports, port)
			return port, nil
		}
	}
	return 0, errors.New("no free port was found")
}
