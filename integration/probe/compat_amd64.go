package main

import "golang.org/x/sys/unix"

// x32 is the number of a call in the x32 ABI.
func x32(nr uintptr) uintptr { return nr | 0x40000000 }

// int80 makes a 32-bit system call. The kernel takes ia32 numbers and sees
// AUDIT_ARCH_I386; it does so in a 64-bit process as well.
func int80(nr, a, b int) int

// int80fork is int80 for calls that return twice: the child exits at once.
func int80fork(nr, a int) int

func compat(nr, a, b int) error      { return compatErr(int80(nr, a, b)) }
func compatFork(nr, flags int) error { return compatErr(int80fork(nr, flags)) }

func compatErr(r int) error {
	if n := int(int32(r)); n < 0 && n > -4096 {
		return unix.Errno(-n)
	}
	return nil
}
