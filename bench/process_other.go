//go:build !linux

package main

import "syscall"

// dieTogether asks for nothing: the bench needs Linux.
func dieTogether() *syscall.SysProcAttr { return nil }
