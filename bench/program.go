package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// buildKozo builds the program that people run, static and stripped, into a
// directory. What a node needs when it has nothing to do is measured with that:
// this program has more in it.
func buildKozo(ctx context.Context, dir string) (string, error) {
	file := filepath.Join(dir, "kozo")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "kozo/cmd/kozo")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the kozo that is measured: %w; run this in the repository, with go in the PATH\n%s", err, out)
	}
	return file, nil
}
