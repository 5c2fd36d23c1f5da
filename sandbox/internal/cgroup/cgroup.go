// Package cgroup is about control groups, version 2: finding one below which
// the caller may make others (see Find), the steps by which the janitor makes
// one for a sandbox and removes it, and what its counters tell in the end. See
// cgroups(7) and Linux's Documentation/admin-guide/cgroup-v2.rst.
//
// A sandbox has two cgroups, one in the other. The outer has the limits; in the
// inner are the processes, so that its cgroup namespace, which begins at the
// cgroup it is made in, does not reach the files of the outer.
package cgroup

import (
	"encoding/binary"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Set is a set of controllers.
type Set uint8

// The controllers that are of use.
const (
	Memory Set = 1 << iota
	Pids
	CPU
	IO
)

var names = [...]string{"memory", "pids", "cpu", "io"}

// Names lists the set's members as the kernel calls them.
func (s Set) Names() (list []string) {
	for i, name := range names {
		if s&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

// String is the members with spaces between.
func (s Set) String() string { return strings.Join(s.Names(), " ") }

// parse reads a list such as that in cgroup.controllers.
func parse(list string) (s Set) {
	for _, f := range strings.Fields(list) {
		for i, name := range names {
			if f == name {
				s |= 1 << i
			}
		}
	}
	return s
}

// Place is a cgroup below which the caller may make others.
type Place struct {
	// Path is for people, FD an O_PATH descriptor of the directory.
	Path string
	FD   int
	// Have are the controllers that a cgroup below can have; those not in
	// Enabled have to be enabled for it.
	Have, Enabled Set
	// Alone says that this process is in the cgroup, and nobody else, and so
	// must move to a leaf below it before a controller can be enabled: only
	// the root has both processes and controllers for those below.
	Alone bool
	// Pids is the smallest pids.max of the cgroups between this process's own
	// and this one, whose limits would no longer hold; 0 without.
	Pids uint64
}

// name is the outer cgroup's, inner the inner's below it, leaf where a
// launcher that is alone in its cgroup moves to.
func name(token string) string  { return "sbx-" + token }
func inner(token string) string { return name(token) + "/box" }
func leaf(token string) string  { return name(token) + "-launcher" }

// Make makes the cgroups of a sandbox. The janitor does.
type Make struct {
	Place Place
	// Use are the controllers needed.
	Use Set
	// Launcher is its pid.
	Launcher int
}

// moves says whether the launcher has to make room.
func (m Make) moves() bool { return m.Place.Alone && m.enable() != 0 }

// enable are the controllers that are not enabled yet.
func (m Make) enable() Set { return m.Use &^ m.Place.Enabled }

func (m Make) String() string {
	s := "make a cgroup of a random name in " + text.Quote(m.Place.Path)
	if e := m.enable(); e != 0 {
		s += ", enable " + e.String() + " there"
	}
	if m.moves() {
		s += ", move the launcher out of the way"
	}
	return s
}

// Holds is the descriptor used.
func (m Make) Holds() int { return m.Place.FD }

func (Make) Kind() string { return "make-cgroup" }

func (Make) Hint(err error) string {
	switch step.Errno(err) {
	case unix.EBUSY:
		return "another process has come into that cgroup, where the launcher must be alone; try again, or give sbx one of its own"
	case unix.EAGAIN:
		return "a cgroup above allows no more below it (cgroup.max.descendants, cgroup.max.depth), as that of an outer sbx with limits does"
	}
	return ""
}

// Compile makes nothing that Remove does not remove.
func (m Make) Compile(a *step.Asm) {
	dir := step.Fd(m.Place.FD)
	if m.moves() {
		// The janitor goes along, last because it is not alone then.
		a.Sys(unix.SYS_MKDIRAT, dir, a.Str(leaf(a.Token)), step.Int(0o755))
		m.moveLauncher(a, leaf(a.Token)+"/cgroup.procs")
		write(a, dir, leaf(a.Token)+"/cgroup.procs", "0")
	}
	if e := m.enable(); e != 0 {
		write(a, dir, "cgroup.subtree_control", "+"+strings.Join(e.Names(), " +"))
	}
	a.Sys(unix.SYS_MKDIRAT, dir, a.Str(name(a.Token)), step.Int(0o755))
	a.Sys(unix.SYS_MKDIRAT, dir, a.Str(inner(a.Token)), step.Int(0o755))
	// Nobody makes more below that would have to be removed as well.
	write(a, dir, name(a.Token)+"/cgroup.max.descendants", "1")
}

// moveLauncher writes the launcher's pid to a file, if it is still the janitor's
// parent: the number of a process that is dead may be another's soon.
func (m Make) moveLauncher(a *step.Asm, file string) {
	parent, said := a.Temp(), a.Space(8)
	a.Sys(unix.SYS_GETPPID).To(parent)
	a.Store(said, parent.Arg())
	const writing = 3 // calls
	a.SkipUnless(writing, said, binary.NativeEndian.AppendUint32(nil, uint32(m.Launcher)))
	write(a, step.Fd(m.Place.FD), file, strconv.Itoa(m.Launcher))
}

// write writes text to a file below dir.
func write(a *step.Asm, dir step.Arg, file, text string) {
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, dir, a.Str(file), step.Int(unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)).To(fd)
	a.Sys(unix.SYS_WRITE, fd.Arg(), a.Str(text), step.Int(len(text))).Expect(len(text))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// Limit sets one of the outer cgroup's files.
type Limit struct {
	Place Place
	// Say is the limit in the user's words: "memory to 256M".
	Name string
	// File and Text are what is written where.
	File, Text string
	// Optional says that a kernel without the file is as good.
	Optional bool
}

func (l Limit) String() string { return "limit " + l.Name + ": " + l.File + " = " + l.Text }

// Holds is the descriptor used.
func (l Limit) Holds() int { return l.Place.FD }

func (Limit) Kind() string { return "set-cgroup-limit" }

// Compile writes. What stands there then is Verify's to read, since some files
// answer with more than was written.
func (l Limit) Compile(a *step.Asm) {
	fd := a.Temp()
	file := name(a.Token) + "/" + l.File
	open := a.Sys(unix.SYS_OPENAT, step.Fd(l.Place.FD), a.Str(file), step.Int(unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)).To(fd)
	w := a.Sys(unix.SYS_WRITE, fd.Arg(), a.Str(l.Text), step.Int(len(l.Text)))
	c := a.Sys(unix.SYS_CLOSE, fd.Arg())
	if l.Optional {
		// The descriptor is -1 then.
		open.Or(unix.ENOENT)
		w.Or(unix.EBADF)
		c.Or(unix.EBADF)
	} else {
		w.Expect(len(l.Text))
	}
}

// Remove kills what is in the cgroups and removes them.
type Remove struct{ Make Make }

func (Remove) String() string { return "kill what is left in the cgroup and remove it" }

// Holds is the descriptor used.
func (r Remove) Holds() int { return r.Make.Place.FD }

func (Remove) Kind() string { return "remove-cgroup" }

// Compile goes on where nothing is there yet, for it also undoes a Make that
// came half-way. cgroup.kill is Linux 5.14's; before, all in the sandbox die
// with its init, which dies with the launcher.
func (r Remove) Compile(a *step.Asm) {
	dir := step.Fd(r.Make.Place.FD)
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, dir, a.Str(name(a.Token)+"/cgroup.kill"), step.Int(unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)).To(fd).Or(unix.ENOENT)
	a.Sys(unix.SYS_WRITE, fd.Arg(), a.Str("1"), step.Int(1)).Or(unix.EBADF)
	a.Sys(unix.SYS_CLOSE, fd.Arg()).Or(unix.EBADF)
	remove := func(file string) {
		a.Retry(unix.SYS_UNLINKAT, dir, a.Str(file), step.Int(unix.AT_REMOVEDIR)).Or(unix.ENOENT)
	}
	remove(inner(a.Token))
	remove(name(a.Token))
	if r.Make.moves() {
		// Processes may go back only where no controllers are enabled for
		// those below.
		write(a, dir, "cgroup.subtree_control", "-"+strings.Join(r.Make.enable().Names(), " -"))
		r.Make.moveLauncher(a, "cgroup.procs")
		write(a, dir, "cgroup.procs", "0")
		remove(leaf(a.Token))
	}
}

// Namespace makes the sandbox's cgroup namespace. It cannot be made by the
// clone3(2) that also puts the child into its cgroup, for then it would begin
// at the launcher's. cgroup_namespaces(7), Linux 4.6.
type Namespace struct{}

func (Namespace) String() string {
	return "make a cgroup namespace that begins at the sandbox's cgroup"
}

func (Namespace) Kind() string { return "new-cgroup-namespace" }

// Compile is one unshare(2).
func (Namespace) Compile(a *step.Asm) {
	a.Sys(unix.SYS_UNSHARE, step.Int(unix.CLONE_NEWCGROUP))
}
