// Package caps is about capabilities(7): sets of them, their names, and the steps that
// reduce a process's sets to exactly the planned ones.
package caps

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

//go:generate go run ./internal/gen

// Set is a set of capabilities, bit n standing for capability number n.
type Set uint64

// Kill lets the init send signals to a target that has changed its user.
const Kill = Set(1) << unix.CAP_KILL

// Setfcap lets user 0 map itself into a user namespace below its own.
const Setfcap = Set(1) << unix.CAP_SETFCAP

// Admin is needed to make namespaces other than a user namespace.
const Admin = Set(1) << unix.CAP_SYS_ADMIN

// Network are those over a network: its ports below 1024, its settings, raw sockets.
const Network = Set(1)<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW |
	1<<unix.CAP_NET_BROADCAST

// SysResource is needed to raise a resource limit.
const SysResource = Set(1) << unix.CAP_SYS_RESOURCE

// Parse returns the set of the capability with that name, with or without "cap_", in
// upper or lower case. An unknown name is an UnknownError.
func Parse(name string) (Set, error) {
	want := strings.TrimPrefix(strings.ToLower(name), "cap_")
	for n, name := range names {
		if name == want {
			return 1 << n, nil
		}
	}
	return 0, UnknownError{name}
}

// UnknownError is a name that no capability has.
type UnknownError struct{ Name string }

func (e UnknownError) Error() string { return fmt.Sprintf("unknown capability %q", e.Name) }

// Names lists the set's capabilities in the kernel's order.
func (s Set) Names() []string {
	list := make([]string, 0, bits.OnesCount64(uint64(s)))
	for n := 0; n < 64; n++ {
		switch {
		case s&(1<<uint(n)) == 0:
		case n < len(names):
			list = append(list, names[n])
		default: // newer than the table
			list = append(list, strconv.Itoa(n))
		}
	}
	return list
}

// String is the names with commas between them, or "none".
func (s Set) String() string {
	if s == 0 {
		return "none"
	}
	return strings.Join(s.Names(), ",")
}

// Last is the number of the running kernel's last capability. It asks the kernel itself
// rather than read /proc, because a number that is too low would leave a capability in the
// bounding set.
func Last() (int, error) {
	for n := unix.CAP_LAST_CAP; n < 64; n++ {
		if _, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_READ, uintptr(n+1), 0); e == unix.EINVAL {
			// An older kernel has fewer.
			for n > 0 {
				if _, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_READ, uintptr(n), 0); e == 0 {
					return n, nil
				}
				n--
			}
		}
	}
	return 0, fmt.Errorf("find the last capability: the kernel knows none, or more than 64")
}

// Own are the calling thread's effective and permitted sets.
func Own() (effective, permitted Set, err error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, 0, fmt.Errorf("read own capabilities: %w", err)
	}
	return Set(data[0].Effective) | Set(data[1].Effective)<<32, Set(data[0].Permitted) | Set(data[1].Permitted)<<32, nil
}

// Bounded is the part of s that the calling thread's bounding set contains. An exec loses
// the others, even as root. It makes one call for each capability in s.
func Bounded(s Set) Set {
	for n := 0; n < 64; n++ {
		if s&(1<<uint(n)) == 0 {
			continue
		}
		if held, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_READ, uintptr(n), 0); e != 0 || held != 1 {
			s &^= 1 << uint(n)
		}
	}
	return s
}
