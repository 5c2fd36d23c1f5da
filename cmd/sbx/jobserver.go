package main

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// keepJobserver hands over the jobserver of a make that runs sbx, where the policy lets
// MAKEFLAGS cross: a make inside then takes part in the jobs of that one. It is a pipe of the
// caller's, or a FIFO that is named (make 4.4). See "POSIX Jobserver" in make's manual.
func (l *launch) keepJobserver(p *policy.Policy) (fifo string) {
	if !slices.Contains(p.Process.Env, "MAKEFLAGS") {
		return ""
	}
	auth := ""
	for word := range strings.FieldsSeq(os.Getenv("MAKEFLAGS")) {
		if word == "--" {
			break // variables follow
		}
		for _, name := range [...]string{"--jobserver-auth=", "--jobserver-fds="} {
			if value, ok := strings.CutPrefix(word, name); ok {
				auth = value // the last one counts
			}
		}
	}
	if name, ok := strings.CutPrefix(auth, "fifo:"); ok {
		var st unix.Stat_t
		if strings.HasPrefix(name, "/") && unix.Lstat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			return name
		}
		return ""
	}
	read, write, _ := strings.Cut(auth, ",")
	r, err1 := strconv.Atoi(read)
	w, err2 := strconv.Atoi(write)
	if err1 != nil || err2 != nil || !isPipe(r, unix.O_RDONLY) || !isPipe(w, unix.O_WRONLY) {
		return "" // make closes them for what is no make
	}
	for _, fd := range [...]int{r, w} {
		if !slices.Contains(l.KeepFD, fd) && !l.ownDescriptor(fd) {
			l.KeepFD = append(l.KeepFD, fd)
		}
	}
	return ""
}

// isPipe says whether a descriptor above 2 is an end of a pipe that children get.
func isPipe(fd, access int) bool {
	var st unix.Stat_t
	if fd < 3 || unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	closes, err2 := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && err2 == nil && flags&(unix.O_ACCMODE|unix.O_PATH) == access && closes&unix.FD_CLOEXEC == 0
}
