package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/config"
	"kozo/internal/secure"
)

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR NODE…",
		Short: "Begin a network: write its configuration and keys",
		Long: `Begin a network of the nodes with these names: write a configuration to start
from, a key for each node, and a few lines about what to do next, into the
directory DIR. Nothing that exists is overwritten.`,
		Example: `  kozo init home clock scribe`,
		Args:    takes("DIR", "NODE…"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.initNetwork(args[0], args[1:])
		},
	}
}

func (a *app) initNetwork(dir string, names []string) error {
	if isFile(dir) {
		return failed("%s is a file, and no directory", dir).hint("usage: kozo init DIR NODE…")
	}
	seen := map[string]bool{}
	for _, name := range names {
		if err := kozo.CheckName(name); err != nil {
			return misused("node %q: %w", name, err)
		}
		if fold := strings.ToLower(name); seen[fold] {
			return misused("there are two nodes named %s", name)
		} else {
			seen[fold] = true
		}
	}
	paths := []string{"config.yml", "README"}
	for _, name := range names {
		paths = append(paths, name+".key", name+".key.pub")
	}
	for _, path := range paths {
		if _, err := os.Lstat(filepath.Join(dir, path)); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return err
			}
			return failed("%s exists already, and is not overwritten", filepath.Join(dir, path)).hint("choose another directory")
		}
	}
	keys := map[string]string{}
	pairs := map[string]*secure.Key{}
	for _, name := range names {
		key, err := secure.GenerateKey()
		if err != nil {
			return err
		}
		keys[name], pairs[name] = key.Public().Line(), key
	}
	text := firstConfig(names, keys)
	// What is written must be right before anything is.
	if _, err := config.Parse(filepath.Join(dir, "config.yml"), []byte(text), a.typesHere()); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if err := pairs[name].Write(filepath.Join(dir, name+".key"), name); err != nil {
			return err
		}
	}
	if err := writeNew(filepath.Join(dir, "README"), readme(names)); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, "config.yml"), text); err != nil {
		return err
	}
	a.say("wrote %s for %s; %s says what to do next", filepath.Join(dir, "config.yml"), term.List(names), filepath.Join(dir, "README"))
	return nil
}

func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func readme(names []string) string {
	other := names[min(1, len(names)-1)]
	return fmt.Sprintf(`Copy config.yml and its own key to each machine, for instance: scp config.yml %[1]s.key %[1]s.local:
On each machine, in the directory with these two files, run: kozo config.yml NODE   (NODE is one of: %[2]s)
Then see how it is doing with: kozo status   (and try it all on this machine first, with: kozo testnet config.yml)
`, other, strings.Join(names, ", "))
}

// firstConfig is a configuration to start from: a timer on the first node, and a
// cuckoo and a logger on the second, or on the same if there is no other.
func firstConfig(names []string, keys map[string]string) string {
	var b strings.Builder
	b.WriteString(`# A Kōzō network. Every node has a copy of this file; after a change copy it to
# all of them and restart them. "kozo check config.yml" says whether it is right
# and what follows from it, "kozo types" what roles there are.

system:
`)
	for i, name := range names {
		listens := i == min(1, len(names)-1)
		fmt.Fprintf(&b, "    %s:\n", name)
		if i == 0 {
			b.WriteString("        # The file with the private key. Only this node has it.\n")
		}
		fmt.Fprintf(&b, "        privateKey: %s.key\n", name)
		if i == 0 {
			b.WriteString("        # Its public half, by which the other nodes know this one.\n")
		}
		fmt.Fprintf(&b, "        publicKey: %s\n", keys[name])
		if listens {
			b.WriteString("        # Where roles keep what they must remember when the node restarts.\n")
			b.WriteString("        roleStorage: storage\n")
		}
		switch {
		case i == 0 && listens:
			b.WriteString("        roles:\n" + timerBlock + cuckooBlock)
		case i == 0:
			b.WriteString("        roles:\n" + timerBlock)
		case listens:
			b.WriteString("        roles:\n" + cuckooBlock)
		}
		b.WriteString("        transports:\n            tcp:\n")
		if i == 0 {
			b.WriteString("                # Where others find this node, best first: names or addresses.\n")
		}
		fmt.Fprintf(&b, "                address: %s.local\n", name)
		if i == 0 {
			b.WriteString("                # port: 9001\n")
		}
	}
	b.WriteString(`
# Seconds between two signs of life on a connection.
# heartbeat: 10

# Longest pause, in seconds, between two attempts to reach a node.
# connectionRetry: 60
`)
	return b.String()
}

const timerBlock = `            # Says "tick" to whom it concerns.
            timer1:
                type: timer
                tick: 10
`

const cuckooBlock = `            # Prints the ticks of timer1, from whichever node.
            cuckoo:
                timer: timer1
            # Prints and keeps the log messages of all nodes.
            logger:
                file: kozo.log
`
