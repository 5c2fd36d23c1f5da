package main

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
)

// keepNamed has the target get the descriptors that its arguments name, as a shell
// passes them for <(command): pipes, and regular files that are open for reading
// alone. Of others it says how they are handed over.
func (l *launch) keepNamed(args []string) (notes []string) {
	for _, arg := range args {
		n, ok := descriptorIn(arg)
		if !ok || n < 3 || slices.Contains(l.KeepFD, n) {
			continue
		}
		var st unix.Stat_t
		flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFL, 0)
		closes, _ := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
		if err != nil || closes&unix.FD_CLOEXEC != 0 || unix.Fstat(n, &st) != nil {
			continue // none of the caller's: the program will say so
		}
		reads := flags&unix.O_ACCMODE == unix.O_RDONLY && flags&unix.O_PATH == 0
		switch kind := st.Mode & unix.S_IFMT; {
		case l.ownDescriptor(n):
		case kind == unix.S_IFIFO && flags&unix.O_PATH == 0, kind == unix.S_IFREG && reads:
			l.KeepFD = append(l.KeepFD, n)
		default:
			notes = append(notes, "the argument "+text.Quote(arg)+" names a descriptor that is not handed over, since it is "+
				"no pipe and no file that is open for reading alone (--keep-fd "+strconv.Itoa(n)+" hands it over)")
		}
	}
	return notes
}

// keepNumbered hands over the sockets, the pipes and the memory that arguments name by the
// number of their descriptors, alone or as an option's value. Bubblewrap's callers open them for
// the program, which finds there whoever talks to it, or further arguments, that may name more.
func (l *launch) keepNumbered(args []string) {
	for _, arg := range args {
		if fd, memory := l.keepNumber(arg); memory {
			for more := range strings.SplitSeq(startOf(fd), "\x00") {
				l.keepNumber(more)
			}
		}
	}
}

// keepNumber does so for one argument. It says whether that names memory.
func (l *launch) keepNumber(arg string) (fd int, memory bool) {
	if strings.HasPrefix(arg, "-") {
		_, arg, _ = strings.Cut(arg, "=")
	}
	n, err := strconv.ParseUint(arg, 10, 31)
	fd = int(n)
	if err != nil || fd < 3 || strconv.Itoa(fd) != arg || slices.Contains(l.KeepFD, fd) || l.ownDescriptor(fd) {
		return 0, false
	}
	var st unix.Stat_t
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	closes, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || closes&unix.FD_CLOEXEC != 0 || flags&unix.O_PATH != 0 || unix.Fstat(fd, &st) != nil {
		return 0, false
	}
	kind := st.Mode & unix.S_IFMT
	memory = kind == unix.S_IFREG && st.Nlink == 0
	if kind == unix.S_IFSOCK || kind == unix.S_IFIFO || memory {
		l.KeepFD = append(l.KeepFD, fd)
	}
	return fd, memory
}

// startOf is what a file begins with. It does not move the place that is read next; what cannot be
// read is "".
func startOf(fd int) string {
	buf := make([]byte, 64<<10)
	n, err := unix.Pread(fd, buf, 0)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// descriptorIn is the descriptor that an argument names, alone or behind a "=".
func descriptorIn(arg string) (n int, ok bool) {
	for _, dir := range [...]string{"/dev/fd/", "/proc/self/fd/"} {
		_, number, found := strings.Cut(arg, dir)
		before := strings.TrimSuffix(arg, dir+number)
		if !found || before != "" && !strings.HasSuffix(before, "=") && !strings.HasSuffix(before, "@") {
			continue
		}
		if n, err := strconv.ParseUint(number, 10, 31); err == nil {
			return int(n), true
		}
	}
	return 0, false
}

// ownScript is the script that has sbx in its first line ("#!/usr/bin/env -S sbx ..."),
// if the target's arguments name one: the kernel starts sbx with its path, so that it
// has to be inside. "" if there is none.
func ownScript(args []string, caller string) string {
	const most = 8 // flags of the interpreter
	for _, arg := range args[:min(len(args), most)] {
		if arg == "" || arg[0] == '-' || !strings.Contains(arg, "/") && path.Ext(arg) == "" && !there(arg) {
			continue
		}
		name := absolute(arg, caller)
		fd, err := sys.OpenRegular(unix.AT_FDCWD, name, 0)
		if err != nil {
			continue
		}
		line := make([]byte, 256)
		n, err := unix.Read(fd, line)
		unix.Close(fd) // opened for reading
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(line[:n]), "\n")
		if words, ok := strings.CutPrefix(first, "#!"); ok && slices.ContainsFunc(strings.Fields(words), func(w string) bool {
			return path.Base(w) == "sbx"
		}) {
			return name
		}
	}
	return ""
}
