//go:build cgo

package startstate

/*
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long long ignored, blocked;
static struct rlimit files;

// Where a limit that sbx was started with is too low for it, the Go runtime
// would end with a status of its own, 2 or a signal's, which looks as if the
// program had run. Little of the stack is used: it may be what is low.
static void refuse(const char *what, const char *fix) {
	const char *words[] = {"sbx: error: start: ", what, " is too low for sbx itself\n"
		"sbx: hint: raise it (", fix, "); limits of the program's own go into the policy's [limits]\n"};
	for (int i = 0; i < 5; i++)
		if (write(2, words[i], strlen(words[i])) < 0)
			break;
	_exit(125);
}

// room says whether so much memory can be mapped, and gives it back.
static int room(size_t size, int protection) {
	void *p = mmap(0, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p != MAP_FAILED && munmap(p, size) == 0;
}

// processes says whether so many more can be had.
static int processes(int n) {
	pid_t list[8];
	int have = 0;
	while (have < n && (list[have] = fork()) >= 0) {
		if (list[have] == 0)
			for (;;)
				pause();
		have++;
	}
	for (int i = 0; i < have; i++) {
		kill(list[i], SIGKILL);
		waitpid(list[i], 0, 0);
	}
	return have == n;
}

// Each costs a launch one system call, unless there is such a limit. What sbx
// needs was measured, with a little more.
static void check(void) {
	struct rlimit l;
	if (getrlimit(RLIMIT_STACK, &l) == 0 && l.rlim_cur < 64 << 10)
		refuse("the limit on the stack", "ulimit -s");
	if (getrlimit(RLIMIT_AS, &l) == 0 && l.rlim_cur != RLIM_INFINITY && !room(732 << 20, PROT_NONE))
		refuse("the limit on virtual memory", "ulimit -v");
	if (getrlimit(RLIMIT_DATA, &l) == 0 && l.rlim_cur != RLIM_INFINITY && !room(70 << 20, PROT_READ | PROT_WRITE))
		refuse("the limit on data", "ulimit -d");
	if (getrlimit(RLIMIT_NPROC, &l) == 0 && l.rlim_cur < 256 && !processes(7))
		refuse("the limit on processes", "ulimit -u");
}

// This runs before main, and so before the Go runtime, which changes all three.
__attribute__((constructor)) static void look(void) {
	check();
	struct sigaction sa;
	for (int n = 1; n < 32; n++) // real-time signals are not worth 33 more calls
		if (sigaction(n, 0, &sa) == 0 && sa.sa_handler == SIG_IGN)
			ignored |= 1ULL << (n - 1);
	sigset_t mask;
	if (sigprocmask(SIG_BLOCK, 0, &mask) == 0)
		for (int n = 1; n < 32; n++)
			if (sigismember(&mask, n) == 1)
				blocked |= 1ULL << (n - 1);
	getrlimit(RLIMIT_NOFILE, &files);
}

static unsigned long long get_ignored(void) { return ignored; }
static unsigned long long get_blocked(void) { return blocked; }
static unsigned long long get_soft(void) { return files.rlim_cur; }
static unsigned long long get_hard(void) { return files.rlim_max; }
*/
import "C"

// Ignored is the set of signals that were ignored; bit n-1 is signal n.
func Ignored() uint64 { return uint64(C.get_ignored()) }

// Mask is the set of signals that were blocked.
func Mask() uint64 { return uint64(C.get_blocked()) }

// OpenFiles is RLIMIT_NOFILE, soft and hard.
func OpenFiles() (soft, hard uint64) { return uint64(C.get_soft()), uint64(C.get_hard()) }
