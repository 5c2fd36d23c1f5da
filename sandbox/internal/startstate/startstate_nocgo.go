//go:build !cgo

package startstate

import "golang.org/x/sys/unix"

// Without cgo nothing of ours runs before the Go runtime; sbx itself is built
// with it, and this is for checks of the packages on other machines.

// Ignored is the set of signals that were ignored: here, none is known.
func Ignored() uint64 { return 0 }

// Mask is the set of signals that were blocked: here, none is known.
func Mask() uint64 { return 0 }

// OpenFiles is RLIMIT_NOFILE, soft and hard, as it is now.
func OpenFiles() (soft, hard uint64) {
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &now) != nil {
		return unix.RLIM_INFINITY, unix.RLIM_INFINITY
	}
	return now.Cur, now.Max
}
