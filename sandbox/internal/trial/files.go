package trial

import (
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/sandbox/internal/attempt"
)

const at = ^uintptr(99) // AT_FDCWD

const opens = unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

func (r *runner) open(name string, flags int) attempt.Call {
	return attempt.Call{Nr: unix.SYS_OPENAT, Args: [6]uintptr{at, r.Text(name), uintptr(flags | opens), 0o600}, From: -1}
}

// special says that a file was found, and may be opened, which has no contents of
// its own: a socket, or a pipe or device with nobody at the other end.
func special(o Outcome) Outcome {
	if o.Errno == unix.ENXIO || o.Errno == unix.ENODEV {
		return Outcome{Works: true, Detail: "it is there"}
	}
	return o
}

// read opens a file and reads a byte, or lists a directory.
func (r *runner) read(name string) Outcome {
	const size = 4096
	buf := uintptr(r.Space(size))
	o := r.Run(0, r.open(name, unix.O_RDONLY|unix.O_DIRECTORY),
		attempt.Call{Nr: unix.SYS_GETDENTS64, Args: [6]uintptr{0, buf, size}})
	if o.Errno != unix.ENOTDIR {
		return o
	}
	o = r.Run(0, r.open(name, unix.O_RDONLY),
		attempt.Call{Nr: unix.SYS_READ, Args: [6]uintptr{0, buf, 1}, Pass: unix.EAGAIN})
	return special(o)
}

// write opens what is there for writing, and writes nothing. What is not there is
// made and removed.
func (r *runner) write(name string) Outcome {
	o := r.Run(0, r.open(name, unix.O_WRONLY))
	if o.Errno == unix.ENOENT || o.Errno == unix.EISDIR {
		return r.create(name)
	}
	return special(o)
}

// create makes a file of that name, or one in the directory of that name, and
// removes it.
func (r *runner) create(name string) Outcome {
	o := r.make(name)
	if o.Errno != unix.EEXIST && o.Errno != unix.EISDIR {
		return o
	}
	in := name + "/.sbx-trial-" + strconv.Itoa(os.Getpid())
	if o = r.make(in); o.Errno == unix.ENOTDIR {
		return Outcome{Untried: "it is there already"}
	}
	o.Made = false // the directory was there
	return o
}

func (r *runner) make(name string) Outcome {
	o := r.Run(0, r.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW))
	if !o.Works {
		return o
	}
	o.Made = true
	gone := r.Run(0, attempt.Call{Nr: unix.SYS_UNLINKAT, Args: [6]uintptr{at, r.Text(name)}, From: -1})
	if !gone.Works {
		o.Detail = "what was made could not be removed: " + gone.Errno.Error()
	}
	return o
}

// device opens a device file, for writing too if that may be.
func (r *runner) device(name string) Outcome {
	o := r.Run(0, r.open(name, unix.O_RDWR))
	if o.Errno == unix.EACCES || o.Errno == unix.EROFS || o.Errno == unix.EPERM {
		o = r.Run(0, r.open(name, unix.O_RDONLY))
	}
	switch o.Errno {
	case unix.ENXIO, unix.ENODEV, unix.EBUSY, unix.EIO:
		return Outcome{Works: true, Detail: "it may be used; the device says: " + o.Errno.Error()}
	}
	return o
}

// exec starts a program that never gets to its first instruction: with so little
// memory the kernel ends the process while it sets the program up, after all that
// could have been refused.
func (r *runner) exec(name string) Outcome {
	little := (*[2]uint64)(r.Space(16))
	*little = [2]uint64{4096, 4096}
	path := r.Text(name)
	argv := (*[2]uintptr)(r.Space(16))
	argv[0] = path
	o := r.Run(0,
		attempt.Call{Nr: unix.SYS_PRLIMIT64, Args: [6]uintptr{0, unix.RLIMIT_AS, uintptr(unsafe.Pointer(little))}, From: -1},
		attempt.Call{Nr: unix.SYS_EXECVE, Args: [6]uintptr{path, uintptr(unsafe.Pointer(argv)),
			uintptr(unsafe.Pointer(&argv[1]))}, From: -1})
	switch {
	case r.Done() == 0 || r.Done() == 1 && r.Errno(0) != 0:
		return Outcome{Untried: "prlimit64 is denied, without which the program would really run"}
	case o.Signal == unix.SIGSEGV, o.Signal == unix.SIGKILL:
		return Outcome{Works: true}
	case o.Errno == unix.ENOEXEC:
		return Outcome{Works: true, Detail: "it is no program of a known format"}
	}
	return o
}
