package notify

import (
	"encoding/binary"
	"path"
	"slices"
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

// fileKey is one path and what is done with it, as the call says it. other is the second
// path of a call that has a file under two.
type fileKey struct {
	path, other string
	explain.Use
}

// files are the paths that were seen.
type files struct {
	seen  map[fileKey]*explain.File // nil: nothing is wrong with it
	order []*explain.File
	// searched are what search has found, from the root inside.
	searched map[searched]bool
	full     map[string]string // without "." and "..", of paths as they were said
	// allows are the rights that the Landlock domain gives at a path, or nil; see Restrict.
	allows func(real string) uint64
}

// watched is what is known of an observed call by its number.
type watched struct {
	name     string
	attempts bool              // its address or its ids are looked at
	bounded  bool              // it may fail since a limit is reached
	file     *explain.FileCall // nil: it has no paths
}

// watched is what is known of the call that was asked about last, or nil.
func (l *Listener) watched() *watched {
	nr := l.request.Number
	w, known := l.calls[nr]
	if known {
		return w
	}
	if call, ok := seccomp.SyscallByNumber(seccomp.Native(), nr); ok {
		name := call.Name()
		w = &watched{name: name, attempts: explain.IsRare(name) || explain.MayNeed(name),
			bounded: name == "mmap" || slices.Contains(explain.Forks[:], name)}
		if l.files.seen != nil {
			w.file = explain.LookupFileCall(name)
		}
	}
	l.calls[nr] = w
	return w
}

// observe looks at the address or the paths of a call that is allowed, before it is made. What comes of
// the call is not known then; it is what the same path leads the launcher to, from the
// same root.
func (l *Listener) observe() {
	w := l.watched()
	if w == nil {
		return
	}
	if w.bounded {
		l.bounded(w.name)
	}
	if w.attempts {
		l.attempt(w.name)
	}
	if w.file == nil {
		return
	}
	first := ""
	l.args = w.file.Paths(l.args[:0], l.request.Args, l.how(w.name))
	l.fullTable(w.name, l.args)
	for i, arg := range l.args {
		if arg.Access == explain.Makes {
			l.lookForSpace()
		}
		full := l.fullPath(arg)
		switch {
		case full == "":
			first = ""
			continue
		case i == 1 && first != "" && explain.Moves(w.name):
			l.noteFile(fileKey{path: first, other: full, Use: explain.Use{Removes: w.name[0] == 'r'}}, w.name)
		}
		first = full
		l.noteFile(fileKey{path: full, Use: arg.Use}, w.name)
	}
}

// fullPath is the path of the argument from the root inside, or "" where it cannot be
// told, or is a process's in /proc: what is there depends on who looks. It is the asking process's
// only if that is still there afterwards; see valid.
func (l *Listener) fullPath(arg explain.FileArg) string {
	raw := l.bytes(l.request.Args[arg.Path])
	if len(raw) == 0 {
		return ""
	}
	if raw[0] != '/' {
		return observed(l.relative(string(raw), arg))
	}
	full, known := l.files.full[string(raw)]
	if !known {
		full = observed(path.Clean(string(raw)))
		if len(l.files.full) < maxFiles {
			l.files.full[string(raw)] = full
		}
	}
	return full
}

// observed is the path, or "" for one of /proc that is another file for each who looks.
func observed(full string) string {
	rest, ok := strings.CutPrefix(full, "/proc/")
	first, _, _ := strings.Cut(rest, "/")
	if full == "/proc" || ok && (first == "" || first[0] <= '9' ||
		slices.Contains([]string{"self", "thread-self", "net", "mounts"}, first)) {
		return ""
	}
	return full
}

// how is what openat2(2) is given; nil for other calls, and where it cannot be read.
func (l *Listener) how(call string) *unix.OpenHow {
	if call != "openat2" {
		return nil
	}
	b := l.read(l.request.Args[2], unix.SizeofOpenHow, false)
	if len(b) < unix.SizeofOpenHow {
		return nil
	}
	word := func(i int) uint64 { return binary.NativeEndian.Uint64(b[8*i:]) }
	return &unix.OpenHow{Flags: word(0), Mode: word(1), Resolve: word(2)}
}

// relative is the path from the root inside of one that does not begin there, or "".
func (l *Listener) relative(text string, arg explain.FileArg) string {
	dir := "cwd"
	if arg.Dir >= 0 && int32(l.request.Args[arg.Dir]) != unix.AT_FDCWD {
		dir = "fd/" + strconv.Itoa(int(int32(l.request.Args[arg.Dir])))
	}
	b := l.memory[:]
	n, err := unix.Readlink(l.proc(dir), b)
	if err != nil || n == 0 || b[0] != '/' {
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
	found, failed := l.try(k)
	if !l.valid() {
		return // the root may have been another's
	}
	if failed && len(l.files.order) < maxFails {
		f = &found
		f.Path, f.Use, f.Call, f.Exe, f.Count = k.path, k.Use, call, l.exe(), 1
		if _, pid := l.pids(); l.valid() {
			f.PID = pid
		}
		l.files.order = append(l.files.order, f)
	}
	l.files.seen[k] = f
}
