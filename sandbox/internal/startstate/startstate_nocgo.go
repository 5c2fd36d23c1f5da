//go:build !cgo

package startstate

import "golang.org/x/sys/unix"

// Without cgo no code of sbx runs before the Go runtime. sbx itself is built with
// cgo; this file is for checking the packages on other machines.

// Ignored is the set of signals that were ignored, which is not known here.
func Ignored() uint64 { return 0 }

// Mask is the set of signals that were blocked, which is not known here.
func Mask() uint64 { return 0 }

// OpenFiles is the current RLIMIT_NOFILE, soft and hard.
func OpenFiles() (soft, hard uint64) {
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &now) != nil {
		return unix.RLIM_INFINITY, unix.RLIM_INFINITY
	}
	return now.Cur, now.Max
}

// DeathSignal is the signal that the process gets when its parent dies, which is not known
// here.
func DeathSignal() int { return 0 }
