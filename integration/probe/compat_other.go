//go:build !amd64

package main

import "golang.org/x/sys/unix"

// Elsewhere there is no x32, and no 32-bit call from a 64-bit process.
func x32(nr uintptr) uintptr     { return nr | 0x40000000 }
func compat(int, int, int) error { return unix.ENOSYS }
func compatFork(int, int) error  { return unix.ENOSYS }
