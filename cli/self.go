package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// self returns what to type in a shell to run this program again, from the
// directory in which it was started.
func (a *app) self() string {
	arg0 := os.Args[0]
	if strings.Contains(filepath.ToSlash(arg0), "/go-build") {
		// Started by "go run": its executable goes away with it.
		if info, ok := debug.ReadBuildInfo(); ok {
			if rel, ok := strings.CutPrefix(info.Path, info.Main.Path+"/"); ok && isDir(rel) {
				return "go run ./" + rel
			}
			return "go run " + info.Path
		}
	}
	base := filepath.Base(arg0)
	if found, err := exec.LookPath(base); err == nil && sameFile(found, executable()) {
		return base
	}
	return quote(arg0)
}

// again returns a command line of this program that can be pasted into another
// terminal.
func (a *app) again(args ...string) string {
	if dir := a.getenv("KOZO_RUN_DIR"); dir != "" {
		return "KOZO_RUN_DIR=" + quote(dir) + " " + a.selfWith(args)
	}
	return a.selfWith(args)
}

func (a *app) selfWith(args []string) string {
	line := a.self()
	for _, arg := range args {
		line += " " + quote(arg)
	}
	return line
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// quote writes a word as a shell reads it.
func quote(word string) string {
	if word != "" && strings.IndexFunc(word, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 0x7f || strings.ContainsRune("-_./:@,+=%", r))
	}) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// looksLikeFile says whether a word on the command line was probably meant as
// the path of a file.
func looksLikeFile(word string) bool {
	return strings.ContainsAny(word, `/\`) || filepath.Ext(word) != ""
}
