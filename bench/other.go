//go:build !linux

package main

import "syscall"

// The bench needs Linux. Elsewhere it compiles, and says so when it runs.

func dieTogether() *syscall.SysProcAttr { return nil }
func openFiles()                        {}
func isolated() bool                    { return false }
func isolate([]string) (int, bool)      { return 0, false }
func furnish() error                    { return nil }
func wireBytes() int64                  { return 0 }

func likeEthernet(string, string, syscall.RawConn) error { return nil }
