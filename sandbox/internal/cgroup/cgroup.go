// Package cgroup is about control groups, version 2. It finds one below which the
// caller may make others (Find), has the steps by which the janitor makes and
// removes a sandbox's cgroup, and reads the cgroup's counters at the end. See
// cgroups(7) and Linux's Documentation/admin-guide/cgroup-v2.rst.
//
// A sandbox has two cgroups, one inside the other. The outer one has the limits,
// the inner one has the processes. So the cgroup namespace, whose root is the
// cgroup that it is made in, does not contain the files of the outer one.
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

// The controllers that sbx uses.
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

// Parent is a cgroup below which the caller may make others.
type Parent struct {
	// Path is for messages. FD is an O_PATH descriptor of the directory.
	Path string
	FD   int
	// Have are the controllers that a cgroup below can have. Those that are not in
	// Enabled must be enabled first.
	Have, Enabled Set
	// SoleMember says that this process is the only one in the cgroup. It must then
	// move to a leaf below before a controller can be enabled: except in the root, the
	// kernel allows no processes in a cgroup with controllers enabled for those below.
	SoleMember bool
	// Pids is the smallest pids.max of the cgroups between this process's own and this
	// one, because their limits would not apply; 0 where they have none.
	Pids uint64
}

// name is the name of the outer cgroup, inner that of the inner one below it, and
// leaf that of the cgroup to which a launcher moves that is a SoleMember.
func name(token string) string  { return "sbx-" + token }
func inner(token string) string { return name(token) + "/box" }
func leaf(token string) string  { return name(token) + "-launcher" }

// Make makes the cgroups of a sandbox. It is a step of the janitor's.
type Make struct {
	Parent Parent
	// Use are the controllers needed.
	Use Set
	// Launcher is the launcher's pid.
	Launcher int
}

// moves says whether the launcher must move to a leaf.
func (m Make) moves() bool { return m.Parent.SoleMember && m.enable() != 0 }

// enable are the controllers that are not enabled yet.
func (m Make) enable() Set { return m.Use &^ m.Parent.Enabled }

func (m Make) String() string {
	s := "make a cgroup of a random name in " + text.Quote(m.Parent.Path)
	if e := m.enable(); e != 0 {
		s += ", enable " + e.String() + " there"
	}
	if m.moves() {
		s += ", move the launcher to a leaf"
	}
	return s
}

// Holds is the descriptor used.
func (m Make) Holds() int { return m.Parent.FD }

func (Make) Kind() string { return "make-cgroup" }

func (Make) Hint(err error) string {
	switch step.Errno(err) {
	case unix.EBUSY:
		return "another process has moved into that cgroup, where the launcher must be alone; " +
			"try again, or give sbx a cgroup of its own"
	case unix.EAGAIN:
		return "a cgroup above allows no more below it (cgroup.max.descendants, cgroup.max.depth), " +
			"like that of an outer sbx with limits"
	}
	return ""
}

// Compile makes only what Remove removes.
func (m Make) Compile(a *step.Asm) {
	dir := step.Fd(m.Parent.FD)
	if m.moves() {
		// The janitor moves too, after the launcher, because it is not alone then.
		a.Sys(unix.SYS_MKDIRAT, dir, a.Str(leaf(a.Token)), step.Int(0o755))
		m.moveLauncher(a, leaf(a.Token)+"/cgroup.procs")
		write(a, dir, leaf(a.Token)+"/cgroup.procs", "0")
	}
	if e := m.enable(); e != 0 {
		write(a, dir, "cgroup.subtree_control", "+"+strings.Join(e.Names(), " +"))
	}
	a.Sys(unix.SYS_MKDIRAT, dir, a.Str(name(a.Token)), step.Int(0o755))
	a.Sys(unix.SYS_MKDIRAT, dir, a.Str(inner(a.Token)), step.Int(0o755))
	// No process inside can make further cgroups, which would have to be removed too.
	write(a, dir, name(a.Token)+"/cgroup.max.descendants", "1")
}

// moveLauncher writes the launcher's pid to a file, if the launcher is still the
// janitor's parent: the pid of a dead process may soon be that of another one.
func (m Make) moveLauncher(a *step.Asm, file string) {
	parent, pid := a.Temp(), a.Space(8)
	a.Sys(unix.SYS_GETPPID).To(parent)
	a.Store(pid, parent.Arg())
	const writing = 3 // calls
	a.SkipUnless(writing, pid, binary.NativeEndian.AppendUint32(nil, uint32(m.Launcher)))
	write(a, step.Fd(m.Parent.FD), file, strconv.Itoa(m.Launcher))
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
	Parent Parent
	// Name is the limit in the user's words: "memory to 256M".
	Name string
	// File is the name of the file, and Text what is written to it.
	File, Text string
	// Optional says that a kernel without the file needs no limit.
	Optional bool
}

func (l Limit) String() string { return "limit " + l.Name + ": " + l.File + " = " + l.Text }

// Holds is the descriptor used.
func (l Limit) Holds() int { return l.Parent.FD }

func (Limit) Kind() string { return "set-cgroup-limit" }

// Compile writes the limit. Verify reads it back, since some files return more
// than was written.
func (l Limit) Compile(a *step.Asm) {
	fd := a.Temp()
	file := name(a.Token) + "/" + l.File
	open := a.Sys(unix.SYS_OPENAT, step.Fd(l.Parent.FD), a.Str(file),
		step.Int(unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)).To(fd)
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
func (r Remove) Holds() int { return r.Make.Parent.FD }

func (Remove) Kind() string { return "remove-cgroup" }

// Compile continues where something is missing, because it also undoes a Make that
// failed half-way. cgroup.kill is Linux 5.14. On older kernels the processes die
// with the sandbox's init, which dies with the launcher.
func (r Remove) Compile(a *step.Asm) {
	dir := step.Fd(r.Make.Parent.FD)
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, dir, a.Str(name(a.Token)+"/cgroup.kill"),
		step.Int(unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)).To(fd).Or(unix.ENOENT)
	a.Sys(unix.SYS_WRITE, fd.Arg(), a.Str("1"), step.Int(1)).Or(unix.EBADF)
	a.Sys(unix.SYS_CLOSE, fd.Arg()).Or(unix.EBADF)
	remove := func(file string) {
		a.Retry(unix.SYS_UNLINKAT, dir, a.Str(file), step.Int(unix.AT_REMOVEDIR)).Or(unix.ENOENT)
	}
	remove(inner(a.Token))
	remove(name(a.Token))
	if r.Make.moves() {
		// Processes can move back only after the controllers for those below are
		// disabled.
		write(a, dir, "cgroup.subtree_control", "-"+strings.Join(r.Make.enable().Names(), " -"))
		r.Make.moveLauncher(a, "cgroup.procs")
		write(a, dir, "cgroup.procs", "0")
		remove(leaf(a.Token))
	}
}

// Namespace makes the sandbox's cgroup namespace. The clone3(2) that puts the child
// into its cgroup cannot make it, because its root would then be the launcher's
// cgroup. cgroup_namespaces(7), Linux 4.6.
type Namespace struct{}

func (Namespace) String() string {
	return "make a cgroup namespace whose root is the sandbox's cgroup"
}

func (Namespace) Kind() string { return "new-cgroup-namespace" }

// Compile is one unshare(2).
func (Namespace) Compile(a *step.Asm) {
	a.Sys(unix.SYS_UNSHARE, step.Int(unix.CLONE_NEWCGROUP))
}
