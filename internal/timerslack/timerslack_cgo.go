//go:build cgo

package timerslack

/*
#include <sys/prctl.h>

// 0: it was left as it is.
static unsigned long before;

// A thread under a real-time policy has a slack of 0, and sets none.
__attribute__((constructor)) static void coarsen(void) {
	int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
	if (slack > 0 && slack < 50000000 && prctl(PR_SET_TIMERSLACK, 50000000UL, 0, 0, 0) == 0)
		before = slack;
}

static unsigned long get_before(void) { return before; }
*/
import "C"

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Restore gives the calling thread the slack back that sbx was started with, and so
// the threads and processes that it makes. The caller has locked the thread.
func Restore() error {
	before := uintptr(C.get_before())
	if before == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, before, 0, 0, 0); err != nil {
		return fmt.Errorf("restore the timer slack: %w", err)
	}
	return nil
}
