//go:build !linux

package hostnet

// taken adds nothing: only Linux says which process has a port.
func taken(err error, _ string) error { return err }
