package seccomp

import (
	"cmp"
	"fmt"
	"iter"
	"math/bits"
	"slices"
)

//go:generate go run ./internal/gen .

// entry is one system call of the table: the letters of its arguments on a
// 64-bit kernel (p pointer, l 64 bits, i the low 32, h the low 16; "-" if it
// takes none, empty if that is not known), the first
// release as major<<8|minor, and its number or -1 for each Arch.
type entry struct {
	name  string
	args  string
	since uint16
	nr    [numArches]int32
}

// callSet is a set of system calls: a bit for each of the table.
type callSet [(len(table) + 63) / 64]uint64

func (c *callSet) has(s Syscall) bool { return c[(s.n-1)/64]>>((s.n-1)%64)&1 != 0 }

func (c *callSet) add(s Syscall) { c[(s.n-1)/64] |= 1 << ((s.n - 1) % 64) }

// all lists the calls in the set, by name.
func (c *callSet) all() iter.Seq[Syscall] {
	return func(yield func(Syscall) bool) {
		for w, word := range c {
			for ; word != 0; word &= word - 1 {
				if !yield(Syscall{uint16(64*w + bits.TrailingZeros64(word) + 1)}) {
					return
				}
			}
		}
	}
}

func (c *callSet) size() (n int) {
	for _, word := range c {
		n += bits.OnesCount64(word)
	}
	return n
}

// Release is a release of Linux.
type Release struct{ Major, Minor int }

// String is the release as uname(1) would begin it.
func (r Release) String() string { return fmt.Sprintf("%d.%d", r.Major, r.Minor) }

// Syscall is a system call that the table knows. The zero value is none.
type Syscall struct{ n uint16 } // its place in the table, counted from 1

func (s Syscall) entry() *entry { return &table[s.n-1] }

// Name is the kernel's name for it.
func (s Syscall) Name() string { return s.entry().name }

// Since is the first release that had it.
func (s Syscall) Since() Release {
	return Release{int(s.entry().since >> 8), int(s.entry().since & 0xff)}
}

// Number is its number on an architecture, if it has one there.
func (s Syscall) Number(a Arch) (nr uint32, ok bool) {
	if a >= numArches || s.entry().nr[a] < 0 {
		return 0, false
	}
	return uint32(s.entry().nr[a]), true
}

// Args is how many arguments it takes, where that is known, or 6.
func (s Syscall) Args() int {
	switch s.entry().args {
	case "":
		return 6
	case "-":
		return 0
	}
	return len(s.entry().args)
}

// youngSince is the release from which on a call counts as young. Version 1 of
// the policies' vocabulary draws the line where all architectures began to
// number new calls alike (424 and up): programs that use such a call have a
// way to do without it, which they take on ENOSYS and mostly not on EPERM.
const youngSince = 5<<8 | 1

// Young reports whether the call is so new that a policy which does not list
// it answers as an older kernel would.
func (s Syscall) Young() bool { return s.entry().since >= youngSince }

// width is how many bits of an argument a 64-bit kernel reads: 64, 32 or 16.
func (s Syscall) width(arg int) int {
	if arg < len(s.entry().args) {
		switch s.entry().args[arg] {
		case 'h':
			return 16
		case 'i':
			return 32
		}
	}
	return 64
}

// oldIDs reports whether the call, on architectures of 32 bits, has ids of 16
// bits as in Linux 1.0; what other architectures call by its name is called
// "...32" there.
func (s Syscall) oldIDs() bool {
	switch s.entry().name {
	case "chown", "fchown", "lchown", "setfsgid", "setfsuid", "setgid", "setregid", "setresgid", "setresuid",
		"setreuid", "setuid":
		return true
	}
	return false
}

// LookupSyscall finds a system call by its name, which any architecture may
// have. An error is a *NameError.
func LookupSyscall(name string) (Syscall, error) {
	if s, ok := find(name); ok {
		return s, nil
	}
	return Syscall{}, unknown("system call", name, names)
}

func find(name string) (Syscall, bool) {
	i, ok := slices.BinarySearchFunc(table[:], name, func(e entry, name string) int { return cmp.Compare(e.name, name) })
	if !ok {
		return Syscall{}, false
	}
	return Syscall{uint16(i + 1)}, true
}

func names(yield func(string) bool) {
	for i := range table {
		if !yield(table[i].name) {
			return
		}
	}
}

// SyscallByNumber finds the call that has a number on an architecture.
func SyscallByNumber(a Arch, nr uint32) (Syscall, bool) {
	if a < numArches && nr < 1<<31 {
		for i := range table {
			if table[i].nr[a] == int32(nr) {
				return Syscall{uint16(i + 1)}, true
			}
		}
	}
	return Syscall{}, false
}

// Syscalls lists every call, by name.
func Syscalls() iter.Seq[Syscall] {
	return func(yield func(Syscall) bool) {
		for i := range table {
			if !yield(Syscall{uint16(i + 1)}) {
				return
			}
		}
	}
}
