//go:build cgo

package startlimits

/*
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

// few keeps the Go runtime from opening files at its start: the size of huge pages, cgroups, and
// the table of mounts, which can be long. containermaxprocs=0 has it not use them, but it reads
// them. Without a descriptor to spare it does without. Restore gives the limit back; what sbx was
// started with package startstate has read before.
static void few(void) {
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_max > 3) {
		l.rlim_cur = 3;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

// Each costs a launch one system call, unless there is such a limit. What sbx
// needs was measured, with a little more. This runs before main, and so before the Go
// runtime.
__attribute__((constructor)) static void check(void) {
	struct rlimit l;
	if (getrlimit(RLIMIT_STACK, &l) == 0 && l.rlim_cur < 64 << 10)
		refuse("the limit on the stack", "ulimit -s");
	if (getrlimit(RLIMIT_AS, &l) == 0 && l.rlim_cur != RLIM_INFINITY && !room(732 << 20, PROT_NONE))
		refuse("the limit on virtual memory", "ulimit -v");
	if (getrlimit(RLIMIT_DATA, &l) == 0 && l.rlim_cur != RLIM_INFINITY && !room(70 << 20, PROT_READ | PROT_WRITE))
		refuse("the limit on data", "ulimit -d");
	if (getrlimit(RLIMIT_NPROC, &l) == 0 && l.rlim_cur < 256 && !processes(7))
		refuse("the limit on processes", "ulimit -u");
	few();
}
*/
import "C"
