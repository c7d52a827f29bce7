package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kozo/internal/config"
)

// failure is an error with its exit code, and with hints for people.
type failure struct {
	code  int
	err   error
	hints []string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// failed is what went wrong while running.
func failed(format string, args ...any) *failure {
	return &failure{code: ExitFailed, err: fmt.Errorf(format, args...)}
}

// misused is a wrong command line.
func misused(format string, args ...any) *failure {
	return &failure{code: ExitUsage, err: fmt.Errorf(format, args...)}
}

// misconfigured is a wrong configuration.
func misconfigured(format string, args ...any) *failure {
	return &failure{code: ExitConfig, err: fmt.Errorf(format, args...)}
}

// hint adds a line that says what to do.
func (f *failure) hint(format string, args ...any) *failure {
	f.hints = append(f.hints, fmt.Sprintf(format, args...))
	return f
}

func (f *failure) print(w io.Writer) {
	text := "kozo: " + f.Error()
	if problems, ok := errors.AsType[*config.Problems](f.err); ok {
		// They name the file and the line themselves, as those of a compiler do.
		text = strings.TrimRight(problems.Error(), "\n")
	}
	_, _ = fmt.Fprintln(w, text)
	for _, hint := range f.hints {
		_, _ = fmt.Fprintln(w, "hint: "+hint)
	}
}

// takes checks the number of arguments of a command, and names the one that is
// missing. Names in brackets may be left out; a last one with an ellipsis stands
// for any number.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		most, least := len(names), 0
		for _, name := range names {
			if !strings.HasPrefix(name, "[") {
				least++
			}
			if strings.Contains(name, "…") {
				most = 1 << 20
			}
		}
		usage := strings.TrimSpace(cmd.CommandPath() + " " + strings.Join(names, " "))
		switch {
		case len(args) < least:
			return misused("%s is missing", strings.Trim(names[len(args)], "…")).hint("usage: %s", usage)
		case len(args) > most:
			if cmd.Flags().Lookup("node") != nil {
				usage += " --node NODE"
			}
			return misused("%q is too much", args[most]).hint("usage: %s", usage)
		}
		return nil
	}
}

// nearest returns the word that a person probably meant, or nothing.
func nearest(word string, words []string) string {
	best, least := "", max(1, len([]rune(word))/3)+1
	for _, w := range words {
		if d := distance(strings.ToLower(word), strings.ToLower(w)); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is the number of letters to put in, take out or change between two
// words; two neighbours that changed places count once.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return max(len(x), len(y))
	}
	d := make([][]int, len(x)+1)
	for i := range d {
		d[i] = make([]int, len(y)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(x)][len(y)]
}
