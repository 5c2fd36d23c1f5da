package notify

import (
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy/explain"
	"sbx/policy/seccomp"
)

// maxFiles is how many paths are remembered, maxFails how many of them as ones that the
// program could not use.
const (
	maxFiles = 100_000
	maxFails = 20_000
)

// fileKey is one path and what is done with it, as the call says it.
type fileKey struct {
	path   string
	access explain.Access
	fresh  bool // it makes a name that is not there yet
}

// files are the paths that were seen.
type files struct {
	seen  map[fileKey]*explain.File // nil: nothing is wrong with it
	order []*explain.File
}

// observe looks at the address or the paths of a call that is allowed, before it is made. What comes of
// the call is not known then; it is what the same path leads the launcher to, from the
// same root.
func (l *Listener) observe() {
	r := &l.request
	arch, ok := seccomp.LookupArch(r.Audit, r.Number)
	if !ok {
		return
	}
	name := l.callNames[r.Number]
	if name == "" {
		call, ok := seccomp.SyscallByNumber(arch, r.Number)
		if !ok {
			return
		}
		name = call.Name()
		l.callNames[r.Number] = name
	}
	if name == "connect" || name == "bind" || explain.MayNeed(name) {
		l.attempt(name)
		if !explain.IsFileCall(name) || l.files.seen == nil {
			return
		}
	}
	for _, arg := range explain.FileArgs(name, r.Args) {
		text := l.text(r.Args[arg.Path])
		if text == "" || !l.valid() {
			continue
		}
		full := l.absolute(text, arg)
		if full == "" || strings.HasPrefix(full, "/proc/") || full == "/proc" {
			continue // what is there depends on who looks
		}
		l.noteFile(fileKey{full, arg.Access, arg.New}, name)
	}
}

// absolute is the path from the root inside, or "" where it cannot be told.
func (l *Listener) absolute(text string, arg explain.FileArg) string {
	if text[0] == '/' {
		return path.Clean(text)
	}
	dir := "cwd"
	if arg.Dir >= 0 && int32(l.request.Args[arg.Dir]) != unix.AT_FDCWD {
		dir = "fd/" + strconv.Itoa(int(int32(l.request.Args[arg.Dir])))
	}
	b := l.memory[:]
	n, err := unix.Readlink(l.proc(dir), b)
	if err != nil || n == 0 || b[0] != '/' || !l.valid() {
		return ""
	}
	return path.Join(string(b[:n]), text)
}

// noteFile records the path if the program cannot use it.
func (l *Listener) noteFile(k fileKey, call string) {
	f, known := l.files.seen[k]
	if known {
		if f != nil {
			f.Count++
		}
		return
	}
	if len(l.files.seen) >= maxFiles {
		l.record.Coarse = true
		return
	}
	errno := l.try(k)
	if !l.valid() {
		return // the root may have been another's
	}
	if errno != 0 && len(l.files.order) < maxFails {
		f = &explain.File{Path: k.path, Access: k.access, Call: call, Exe: l.exe(), Count: 1, Answer: uint16(errno)}
		if _, pid := l.pids(); l.valid() {
			f.PID = pid
		}
		l.files.order = append(l.files.order, f)
	}
	l.files.seen[k] = f
}

// try is what becomes of using the path, as far as it is due to what is there: ENOENT,
// EROFS and the like, or 0. Nothing is opened but by O_PATH.
func (l *Listener) try(k fileKey) unix.Errno {
	root, err := unix.Open(l.proc("root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(root)
	errno := place(root, k.path, k.access >= explain.Writes && !k.fresh)
	if k.fresh && errno == 0 {
		return 0 // EEXIST, with or without a sandbox
	}
	if errno == unix.ENOENT && k.access == explain.Makes {
		errno = place(root, path.Dir(k.path), true) // the directory that it is to be made in
	}
	return errno
}

// place looks at a path below the root, and whether its mount may be written to.
func place(root int, name string, write bool) unix.Errno {
	fd, err := unix.Openat2(root, strings.TrimPrefix(name, "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if name == "/" {
		fd, err = unix.Openat(root, ".", unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		errno, _ := err.(unix.Errno)
		return errno
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Fstat(fd, &st) != nil || unix.Fstatfs(fd, &fs) != nil {
		return 0
	}
	file, dir := st.Mode&unix.S_IFMT == unix.S_IFREG, st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case (file || dir) && st.Mode&0o7777 == 0:
		return unix.EACCES // as the masks of what is hidden
	case write && (file || dir) && fs.Flags&unix.ST_RDONLY != 0:
		return unix.EROFS // devices, pipes and sockets may be written to nevertheless
	}
	return 0
}
