//go:build cgo

package startstate

/*
#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static unsigned long long ignored, blocked;
static struct rlimit files;
static int death;

// This runs before main, and so before the Go runtime, which changes the first three. The
// fourth is this thread's, and other threads do not have it. By its number it runs before
// constructors that have none: package startlimits of sbx changes the third.
__attribute__((constructor(101))) static void look(void) {
	struct sigaction sa;
	for (int n = 1; n < 32; n++) // real-time signals are not worth 33 more calls
		if (sigaction(n, 0, &sa) == 0 && sa.sa_handler == SIG_IGN)
			ignored |= 1ULL << (n - 1);
	sigset_t mask;
	if (sigprocmask(SIG_BLOCK, 0, &mask) == 0)
		for (int n = 1; n <= 64; n++)
			if (sigismember(&mask, n) == 1)
				blocked |= 1ULL << (n - 1);
	getrlimit(RLIMIT_NOFILE, &files);
	if (prctl(PR_GET_PDEATHSIG, &death) != 0)
		death = 0;
}

static unsigned long long get_ignored(void) { return ignored; }
static unsigned long long get_blocked(void) { return blocked; }
static unsigned long long get_soft(void) { return files.rlim_cur; }
static unsigned long long get_hard(void) { return files.rlim_max; }
static int get_death(void) { return death; }
*/
import "C"

// Ignored is the set of signals that were ignored; bit n-1 is signal n.
func Ignored() uint64 { return uint64(C.get_ignored()) }

// Mask is the set of signals that were blocked.
func Mask() uint64 { return uint64(C.get_blocked()) }

// OpenFiles is RLIMIT_NOFILE, soft and hard.
func OpenFiles() (soft, hard uint64) { return uint64(C.get_soft()), uint64(C.get_hard()) }

// DeathSignal is the signal that the process gets when its parent dies, or 0: see
// PR_SET_PDEATHSIG in prctl(2).
func DeathSignal() int { return int(C.get_death()) }
