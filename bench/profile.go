package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// profileVariable names the directory for the CPU profiles of processes that are measured.
const profileVariable = "KOZO_BENCH_PROFILE"

// startProfile begins the profile of this process, if one is wanted. It must be
// stopped.
func startProfile(part string) (stop func(), err error) {
	dir := os.Getenv(profileVariable)
	if dir == "" {
		return func() {}, nil
	}
	f, err := os.Create(profileFile(dir, part, os.Getpid()))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

// profileFlood floods with messages of 256 bytes, and leaves the CPU profiles of
// the sending and of the receiving node in a directory.
func profileFlood(ctx context.Context, o options, say func(string, ...any)) error {
	if o.profiles == "" {
		return errors.New("it needs -profile DIRECTORY (make bench ONLY=profile PROFILE=DIRECTORY)")
	}
	dir, err := filepath.Abs(o.profiles)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	length := max(8*o.length, time.Second) // some hundred samples of what takes a hundredth
	say("profiles of a flood of %v", length)
	ctx, cancel := context.WithTimeout(ctx, length+patience)
	defer cancel()
	// The processes that are started inherit it.
	if err := os.Setenv(profileVariable, dir); err != nil {
		return err
	}
	defer os.Unsetenv(profileVariable)
	g, err := o.groupOf(ctx, kozoSystem, load{size: fanoutSize, receivers: 1})
	if err != nil {
		return err
	}
	made := map[string]int{"sender.pprof": g.sender.pid(), "receiver.pprof": g.receivers[0].pid()}
	first, err := g.read(ctx, 0)
	if err == nil {
		_, err = g.read(ctx, first.reports[0].At+length.Nanoseconds())
	}
	g.close() // now they write
	if err != nil {
		return err
	}
	for name, pid := range made {
		if err := os.Rename(profileFile(dir, "node", pid), filepath.Join(dir, name)); err != nil {
			return err
		}
		say("%s", filepath.Join(o.profiles, name))
	}
	return nil
}

func profileFile(dir, part string, pid int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", part, pid))
}
