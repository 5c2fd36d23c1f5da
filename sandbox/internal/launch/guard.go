package launch

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/startstate"
)

// GuardBinary keeps the target from writing to sbx's own file. A script that
// begins with "#!/proc/self/exe" makes the kernel run the file that the child
// was, which is sbx, on the mount of the host; whoever owns that file, root
// above all, could then open /proc/PID/exe for writing (runc's CVE-2019-5736).
// Landlock forbids that, but to the target alone: not to those whose pid or
// mount namespace it has joined. Where the plan has no Landlock, or there are
// such, and the caller could write to the file, GuardBinary executes a sealed
// copy of sbx in memory with the same arguments, and does not return; in the
// copy it does. That costs a few milliseconds there and nothing elsewhere. A
// policy that lets the target write to the whole host lets it write to sbx
// under its own name.
func GuardBinary(p *plan.Plan) error {
	if exposed, err := exposesBinary(p); err != nil || !exposed {
		return err
	}
	if link, err := os.Readlink("/proc/self/exe"); err != nil {
		return fmt.Errorf("look at sbx's own file: %w", err)
	} else if strings.HasPrefix(link, "/memfd:sbx ") {
		return sealed()
	}
	fd, err := SealedCopy()
	if err != nil {
		return fmt.Errorf("copy sbx into memory, to keep its file from the target: %w", err)
	}
	return fmt.Errorf("run sbx from memory: %w", become(fd, "", os.Args, unix.AT_EMPTY_PATH))
}

// Become replaces this process by the program of that path, with all that it was started
// with. It returns only if that fails.
func Become(program string, argv []string) error {
	return fmt.Errorf("run %s: %w", text.Quote(program), become(unix.AT_FDCWD, program, argv, 0))
}

// exposesBinary says whether nothing keeps the target from writing to the file of the
// program that starts it.
func exposesBinary(p *plan.Plan) (bool, error) {
	if (p.Landlock || p.AllWritable) && p.Joined&(ns.PID|ns.Mount) == 0 {
		return false, nil
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &st); err != nil {
		return false, fmt.Errorf("look at sbx's own file: %w", err)
	}
	uid := unix.Geteuid()
	return uid == 0 || st.Uid == uint32(uid) ||
		unix.Faccessat(unix.AT_FDCWD, "/proc/self/exe", unix.W_OK, unix.AT_EACCESS) == nil, nil
}

// CheckBinary refuses what GuardBinary guards against, for a program that cannot be
// executed once more.
func CheckBinary(p *plan.Plan) error {
	if exposed, err := exposesBinary(p); err != nil || !exposed {
		return err
	}
	return &host.NeedError{
		Reason: host.NoLandlock,
		What: "start a sandbox from this program: its file could be written to from inside, by /proc/PID/exe, " +
			"since the caller may write to it and no Landlock keeps the target from it",
		Fix: "use landlock = \"auto\" and a pid and mount namespace that are not joined, or make the program's file " +
			"read-only and another user's",
	}
}

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// sealed makes sure that the copy we run from cannot be written to; its name
// alone proves nothing.
func sealed() error {
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("look at sbx's copy in memory: %w", err)
	}
	defer unix.Close(fd)
	if got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || got&seals != seals {
		return fmt.Errorf("sbx runs from memory that is not sealed (seals %#x)", got)
	}
	return nil
}

// SealedCopy is a descriptor of a copy of this program in memory, which nobody can
// write to.
func SealedCopy() (int, error) {
	in, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(in)
	const mfdExec = 0x10 // MFD_EXEC, Linux 6.3; older kernels refuse it and need none
	out, err := unix.MemfdCreate("sbx", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|mfdExec)
	if err == unix.EINVAL {
		out, err = unix.MemfdCreate("sbx", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, err
	}
	for {
		n, err := unix.Sendfile(out, in, nil, 1<<30)
		if err != nil {
			return -1, err
		}
		if n == 0 {
			break
		}
	}
	_, err = unix.FcntlInt(uintptr(out), unix.F_ADD_SEALS, seals)
	return out, err
}

// become replaces this process by the file, as execveat(2) names it, with all that it was
// started with; see package startstate for what the Go runtime has changed.
func become(fd int, name string, args []string, flags int) error {
	soft, hard := startstate.OpenFiles()
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: soft, Max: hard}, nil); err != nil {
		return fmt.Errorf("restore the limit on open files: %w", err)
	}
	ignore := [4]uint64{1} // struct sigaction with SIG_IGN
	for n := uint64(1); n <= 64; n++ {
		if startstate.Ignored()&(1<<(n-1)) != 0 {
			unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
		}
	}
	if n := startstate.DeathSignal(); n != 0 { // this may be another thread
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(n), 0, 0, 0); err != nil {
			return fmt.Errorf("restore the signal for the parent's death: %w", err)
		}
	}
	mask := startstate.Mask()
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
	vector := func(list []string) []*byte {
		out := make([]*byte, 0, len(list)+1)
		for _, s := range list {
			out = append(out, unsafe.StringData(s+"\x00"))
		}
		return append(out, nil)
	}
	argv, envp, file := vector(args), vector(os.Environ()), unsafe.StringData(name+"\x00")
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(file)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])), uintptr(flags), 0)
	return errno
}
