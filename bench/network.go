package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"kozo/internal/secure"
)

// network is a configuration, and the processes of its nodes. All of it is on
// this machine and in one temporary directory.
type network struct {
	dir   string
	nodes []string
	ports []int // of the nodes
	all   []*process
	kozo  string // the program of the nodes; empty for this one, which has more roles

	changed chan struct{} // gets a value when there is news

	mu   sync.Mutex
	news map[string]int
}

// roomy are the settings for a flood: its window holds it back, not the queue.
const roomy = `outgoingQueueLength: 1000000
outgoingQueueSize: 512MiB
outgoingQueueAge: 600
`

// newNetwork writes the configuration of a network of nodes. settings are
// lines before the nodes; roles holds what to put into the roles block of a node,
// by name, indented by six.
func newNetwork(nodes []string, settings string, roles map[string]string) (*network, error) {
	return newNetworkBehind(nodes, settings, roles, nil)
}

// newNetworkBehind is newNetwork with nodes that others reach at another address
// than their own, by name.
func newNetworkBehind(nodes []string, settings string, roles, fronts map[string]string) (*network, error) {
	dir, err := os.MkdirTemp("", "kozo-bench-")
	if err != nil {
		return nil, err
	}
	n := &network{dir: dir, nodes: nodes, news: map[string]int{}, changed: make(chan struct{}, 1)}
	if err := n.write(settings, roles, fronts); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *network) write(settings string, roles, fronts map[string]string) error {
	var err error
	if n.ports, err = freePorts(len(n.nodes)); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(settings + "system:\n")
	for i, name := range n.nodes {
		key, err := secure.GenerateKey()
		if err != nil {
			return err
		}
		file := filepath.Join(n.dir, name+".key")
		if err := key.Write(file, name); err != nil {
			return err
		}
		fmt.Fprintf(&b, "  %s:\n    privateKey: %s\n    publicKey: %s\n", name, file, key.Public().Line())
		b.WriteString("    transports:\n" + n.tcpOptions(i, cmp.Or(fronts[name], "127.0.0.1")))
		if text := roles[name]; text != "" {
			fmt.Fprintf(&b, "    roles:\n%s", text)
		}
	}
	return os.WriteFile(n.config(), []byte(b.String()), 0o600)
}

// tcpOptions are what the file has of the transport of the i-th node.
func (n *network) tcpOptions(i int, address string) string {
	return fmt.Sprintf("      tcp:\n        address: %s\n        bindAddress: 127.0.0.1\n        port: %d\n", address, n.ports[i])
}

func (n *network) config() string { return filepath.Join(n.dir, "config.yml") }

// env is what the commands of this network need to find its nodes.
func (n *network) env() []string {
	return []string{"KOZO_RUN_DIR=" + filepath.Join(n.dir, "run"), "NOTIFY_SOCKET="}
}

// start runs a node.
func (n *network) start(name string) (*process, error) {
	args := []string{"run", "--log-json", n.config(), name}
	var p *process
	var err error
	if n.kozo != "" {
		p, err = startProgram(n.kozo, name, n.env(), n.line, args...)
	} else {
		p, err = start(name, n.env(), n.line, append([]string{"node"}, args...)...)
	}
	if err == nil {
		n.all = append(n.all, p)
	}
	return p, err
}

// What a node logs when it can be dialled, and when a link of it has come up.
const (
	listening = "listening"
	linkUp    = "link up"
)

// line counts the news in what a node logs.
func (n *network) line(text string) {
	for _, news := range [...]string{listening, linkUp} {
		if strings.Contains(text, `"msg":"`+news+`"`) {
			n.mu.Lock()
			n.news[news]++
			n.mu.Unlock()
			select {
			case n.changed <- struct{}{}:
			default:
			}
		}
	}
}

// heard is how often there was the news.
func (n *network) heard(news string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.news[news]
}

// await waits until all nodes together have logged the news so many times since
// the beginning. One goroutine at a time waits.
func (n *network) await(ctx context.Context, news string, want int) error {
	for {
		have := n.heard(news)
		if have >= want {
			return nil
		}
		select {
		case <-n.changed:
		case <-ctx.Done():
			return n.all[0].failed(fmt.Sprintf("there was %q only %d of %d times in the network", news, have, want))
		}
	}
}

// close stops all nodes and removes what they had.
func (n *network) close() {
	stopAll(n.all)
	if n.dir != "" {
		os.RemoveAll(n.dir)
	}
}

// freePorts finds ports of the loopback address that nobody uses now.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them together, or one would come twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
