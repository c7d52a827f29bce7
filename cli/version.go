package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is the version of Kōzō.
const Version = "0.1.0"

// build is what is known about how the program was made.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // there were changes beside the revision
	Go       string `json:"go"`
	System   string `json:"system"`
}

func thisBuild() build {
	b := build{Version: Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			b.Modified = s.Value == "true"
		case "GOARM":
			b.System += "v" + s.Value
		}
	}
	return b
}

func (b build) String() string {
	s := "kozo " + b.Version + " ("
	if b.Revision != "" {
		s += b.Revision
		if b.Modified {
			s += " and changes"
		}
		s += ", "
	}
	return s + fmt.Sprintf("%s, %s)", b.Go, b.System)
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  takes(),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.emit(thisBuild())
			}
			a.printf("%s\n", thisBuild())
			return nil
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
