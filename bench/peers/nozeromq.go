//go:build !zeromq

package main

// Without the C library there is no ZeroMQ, and no keys of it.

func prepareZeromq(string) error { return nil }

func zeromqSystems() []system { return nil }
