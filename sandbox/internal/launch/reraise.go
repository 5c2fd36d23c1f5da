package launch

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"sbx/sandbox/internal/signals"
)

// Reraise ends this process by the signal that ended the target, if one did:
// who waits for it, a shell in a loop or a service manager, sees what it would
// have seen of the target itself. It is the last thing to do, since nothing
// deferred runs. It returns where no signal ended the target, and where the
// signal has no effect, as on the first process of a container: then Code
// still says which it was.
func (e Exit) Reraise() error {
	if !e.Status.Signaled() {
		return nil
	}
	// The memory that would be dumped is not the target's, and if there was
	// something to dump of that, it has been. RLIMIT_CORE alone does not keep
	// it from a handler of core_pattern; see core(5).
	err := errors.Join(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0), unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
	if err == nil {
		runtime.LockOSThread()
		err = signals.Raise(e.Status.Signal(), e.job)
	}
	if err != nil {
		return fmt.Errorf("end by the target's signal: %w", err)
	}
	return nil
}
