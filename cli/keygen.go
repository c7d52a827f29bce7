package cli

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kozo/internal/secure"
)

// keyInfo is what keygen prints for programs.
type keyInfo struct {
	PrivateKey  string `json:"privateKey"`
	PublicKey   string `json:"publicKey"`
	Fingerprint string `json:"fingerprint"`
}

func (a *app) keygenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keygen PATH",
		Short: "Make a key for a node",
		Long: `Make a key for a node: the private half in PATH, the public half in PATH.pub, as
ssh-keygen writes them. Prints the line with the public half for the
configuration. A file that exists is left alone.`,
		Args: takes("PATH"),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := secure.GenerateKey()
			if err != nil {
				return err
			}
			path := args[0]
			comment := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
			if err := key.Write(path, comment); err != nil {
				f := failed("%w", err)
				if dir := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) {
					f = f.hint("there is no directory %s; mkdir -p %s makes it", dir, quote(dir))
				}
				return f
			}
			if a.json {
				return a.emit(keyInfo{PrivateKey: path, PublicKey: key.Public().Line(), Fingerprint: key.Public().Fingerprint()})
			}
			a.say("wrote %s, which only this node should have, and %[1]s.pub", path)
			a.printf("%s\n", publicKeyLine(key))
			return nil
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
