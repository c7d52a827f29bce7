//go:build !linux

package hostnet

import "syscall"

// configure does nothing: there is no such setting.
func configure(string, string, syscall.RawConn) error { return nil }
