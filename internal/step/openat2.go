package step

import "golang.org/x/sys/unix"

// Openat2 appends an openat2(2), Linux 5.6, of a path from dir: flags are O_*,
// resolve RESOLVE_*. The path is there without a zero byte, as for Str.
func (a *Asm) Openat2(dir Arg, path string, flags int, resolve uint64) *Call {
	how := a.Words(Int(flags), Int(0), Int(resolve)) // struct open_how; no mode, nothing is created
	return a.Sys(unix.SYS_OPENAT2, dir, a.Str(path), how, Int(unix.SizeofOpenHow))
}

// ExecFD is Exec for the file that a descriptor is open to: execveat(2), Linux 3.19.
func (a *Asm) ExecFD(fd, argv, envp Arg) {
	c := a.add(OpExec, []Arg{fd, a.Str(""), argv, envp, Int(unix.AT_EMPTY_PATH), Int(ExecMark)})
	c.Nr = unix.SYS_EXECVEAT
}

// PrivateDir is the directory that the launcher makes for a target without a mount namespace.
type PrivateDir struct {
	// Path is its path, and FD a descriptor of it.
	Path string
	FD   int
}
