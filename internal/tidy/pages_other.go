//go:build !linux

package tidy

// unload is for Linux alone; elsewhere the kernel decides by itself which pages
// of the program file are in memory.
func unload() {}
