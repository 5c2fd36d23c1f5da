package sys

import (
	"slices"

	"golang.org/x/sys/unix"
)

// CloseAll closes descriptors, those whose numbers follow each other by one call. It
// sorts the list. None of them has anything to lose: see close(2).
func CloseAll(fds []int) {
	slices.Sort(fds)
	for len(fds) > 0 {
		n := 1
		for n < len(fds) && fds[n] == fds[0]+n {
			n++
		}
		// An outer sandbox may deny close_range(2), which is in Linux since 5.9.
		if n == 1 || fds[0] < 0 || unix.CloseRange(uint(fds[0]), uint(fds[n-1]), 0) != nil {
			for _, fd := range fds[:n] {
				unix.Close(fd)
			}
		}
		fds = fds[n:]
	}
}
