// Package learn makes a policy of what a run was seen to do. It is pure: what was seen is
// handed to it; see package notify.
//
// What was seen decides nothing while the program runs. A program that is hostile can have
// itself seen doing what it likes, so what comes out is for people to read before they use
// it.
package learn

import (
	"slices"

	"sbx/policy/explain"
	"sbx/policy/seccomp"
)

// Seen is what was observed of a run.
type Seen struct {
	// Calls are the system calls that were made, of those that were observed.
	Calls []Call
	// Files are the paths that were used.
	Files []File
	// Sockets are the addresses that were bound or connected to.
	Sockets []Socket
	// Capabilities are those that were needed.
	Capabilities []Capability
	// Programs are those that ran, by their paths inside.
	Programs []string
	// Coarse says that there was more than is kept.
	Coarse bool
}

// Call is a system call, with the arguments that a rule could be about.
type Call struct {
	Name string
	// Args are those of the first such call. Class are the ones that make it a kind of its
	// own; see Classes.
	Args  [6]uint64
	Class Class
	By
}

// By is who did it, and how often.
type By struct {
	// Exe is the first program that did.
	Exe   string
	Count uint64
}

// Class is what distinguishes calls of one name.
type Class [2]uint64

// Access is what was done with a path, by rising claims.
type Access uint8

// What is done with a path.
const (
	Looks  Access = iota // asked what it is
	Opens                // opened it to read
	Writes               // opened it to write, or changed it; it has to be there
	Makes                // made, replaced or removed the name
)

// File is a path inside, without "." and "..", and what was done with it.
type File struct {
	Path   string
	Access Access
	By
}

// Socket is an address that was bound or connected to.
type Socket struct {
	Call    string // "bind" or "connect"
	Address string // as "127.0.0.1:80", a path, or "@" and an abstract name
	By
}

// Classify is the class of a call with these arguments. It is the same for all calls of
// which no rule could say more.
func Classify(name string, args [6]uint64) Class {
	const signal, kind = 0xff, 0xf
	low := func(i int) uint64 { return uint64(uint32(args[i])) }
	switch name {
	case "socket", "socketpair":
		return Class{low(0), low(1)&kind | low(2)<<8}
	case "ioctl":
		return Class{low(1)}
	case "prctl", "personality":
		return Class{low(0)}
	case "clone", "unshare":
		return Class{low(0) &^ signal}
	}
	return Class{}
}

// alwaysKnown are calls that each program makes, or that cannot be asked about: the
// launcher makes them itself under the filter, when nobody listens yet.
var alwaysKnown = [...]string{"execve", "exit_group"}

// Classed says that calls of the name have classes.
func Classed(name string) bool {
	switch name {
	case "socket", "socketpair", "ioctl", "prctl", "personality", "clone", "unshare":
		return true
	}
	return false
}

// Observe are the numbers of the calls to observe: all but the known ones. Calls with
// paths, addresses or classes are always among them.
func Observe(a seccomp.Arch, known []string) (list []uint32) {
	skip := map[string]bool{}
	for _, name := range known {
		skip[name] = !AlwaysObserved(name)
	}
	for _, name := range alwaysKnown {
		skip[name] = true
	}
	for s := range seccomp.Syscalls() {
		if nr, ok := s.Number(a); ok && !skip[s.Name()] {
			list = append(list, nr)
		}
	}
	slices.Sort(list)
	return list
}

// startCalls are made once by each program that starts.
var startCalls = [...]string{"set_tid_address", "arch_prctl", "sched_getaffinity"}

// Starts says that a program makes the call when it starts.
func Starts(name string) bool { return slices.Contains(startCalls[:], name) }

// AlwaysObserved says that the call is observed whatever is known: for its paths, its
// address, its class or the capability that it may take.
func AlwaysObserved(name string) bool {
	return Classed(name) || explain.MayNeed(name) || Starts(name) || UsesFiles(name) ||
		name == "connect" || name == "bind"
}

// UsesFiles says that the paths among the arguments of the call are learnt from. readlink is
// no such call: compilers make it for each part of each path, which is two thirds of all
// their calls, and whoever needs a file opens it or asks what it is.
func UsesFiles(name string) bool {
	return explain.IsFileCall(name) && name != "readlink" && name != "readlinkat"
}

// Capability is one that the program needed, as far as the kernel's rules make it certain.
type Capability struct {
	Name string // as in a policy
	By
}
