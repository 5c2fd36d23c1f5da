// Package fallbackfilter has small seccomp filters that take the place of
// restrictions that the running kernel's Landlock does not have yet. They are
// compiled when sbx is built. They are loaded before the policy's own filters,
// and separately, since they depend on the kernel and not on the policy.
package fallbackfilter

import (
	"bytes"
	"slices"

	"sbx/policy/seccomp"
)

//go:generate go run ./gen

// Filter is one of these filters.
type Filter int

const (
	// UnixSockets denies connecting to all Unix sockets that have a path or an
	// abstract name. It is for kernels whose Landlock cannot tell the host's sockets
	// from the sandbox's (before ABI 9, Linux 7.1).
	//
	// A filter cannot see the address that connect(2) is called with, so the target
	// gets no socket to call it with. Pairs of sockets are allowed, which is what most
	// programs use, except for datagram pairs: although they are connected, they can
	// still send to any other name. A connected stream or sequenced-packet socket
	// cannot.
	UnixSockets Filter = iota
	// GroupSignals denies signals to the process group that the target shares with
	// the host's processes at a terminal. It is for kernels whose Landlock does not
	// keep signals in the sandbox (before ABI 6, Linux 6.12). Only the pid 0 means
	// that group to kill(2) inside, because it belongs to another pid namespace.
	//
	// Signals that stop and continue a job are allowed, as the terminal itself sends
	// them too: an editor's Ctrl-Z is a kill(0, SIGTSTP).
	GroupSignals
	// FileSignals keeps signals from being sent by a descriptor, where Landlock
	// does not keep them in the sandbox: O_ASYNC on a terminal has the kernel send
	// one to the terminal's job, and F_SETSIG says which, SIGKILL for example.
	//
	// FIOASYNC and F_SETOWN are answered as if they had succeeded: nginx starts no
	// process without them, and nothing in it waits for the signal.
	FileSignals
	// NestFileSignals is the same for a target that makes sandboxes: sbx itself
	// has a socket send it SIGIO, which needs F_SETOWN and O_ASYNC. No other
	// signal is sent, and no process of the host is its owner but the terminal's
	// job.
	NestFileSignals
	// OwnProcess keeps limits, priorities and the memory's places from being set for
	// any process but the one that asks, by the number 0. It is for pid namespaces
	// that are not the sandbox's own: all processes of the target's user have a
	// number there, sbx's among them, and Landlock does not look at these calls.
	OwnProcess
	// FastOpen, Connect, Listen and Addresses are for sockets that are handed over
	// and belong to another network than the target's: that of the host. A filter
	// sees numbers of descriptors, and any number can be made to mean any socket,
	// so they hold for the target's own sockets as well.
	//
	// FastOpen refuses connections that sending makes, which Landlock does not
	// look at: MSG_FASTOPEN.
	FastOpen
	// Connect refuses connect(2) and bind(2), for what Landlock does not know:
	// every protocol but TCP, and TCP before ABI 4 (Linux 6.7).
	Connect
	// Listen refuses listen(2), which takes a port of the kernel's choice for a
	// socket that has none. Landlock does not look at it.
	Listen
	// Addresses refuses to send to an address. sendmsg(2) and sendmmsg(2) have it
	// in memory, where a filter cannot look, and are refused altogether.
	Addresses
	// SetID keeps the target from making files with the set-user-ID or the
	// set-group-ID bit: see seccomp.SetIDRules. It is one of five; a launch loads
	// exactly one, for what it depends on is known only then. This one allows
	// openat2(2), whose mode a filter cannot see.
	SetID
	// SetIDStrict refuses openat2(2) as well.
	SetIDStrict
	// SetIDListen has the launcher set the set-group-ID bit of directories, which
	// a filter cannot tell from files: it answers the launcher's listener.
	SetIDListen
	// SetIDListenStrict is the same, and refuses openat2(2).
	SetIDListenStrict
	// SetIDListenOpen is the same, and has the launcher learn of each openat2(2).
	SetIDListenOpen
	// MemoryPrograms refuses files in memory that can be executed: memfd_create(2)
	// without MFD_NOEXEC_SEAL. It is for policies that let nothing be executed where
	// the target can write. The sysctl vm.memfd_noexec (Linux 6.3) says the same, but
	// the machine's root alone may set it. An older kernel knows no such flag, so
	// there are no such files at all.
	MemoryPrograms
	// NoSockets, NoNetwork and NoIPC stand for namespaces that are not made. NoSockets
	// refuses all sockets but pairs of Unix ones, which reach nobody else; NoNetwork
	// allows Unix sockets, where Landlock knows their paths (ABI 9, Linux 7.1). NoIPC
	// refuses System V's objects and message queues: those there are, are the host's.
	NoSockets
	NoNetwork
	NoIPC
	// MetadataListen, MetadataListenStrict and MetadataListenOpen are SetIDListen and its
	// like for a target without mounts of its own: the launcher also changes modes, owners
	// and times in its place, if the file is one that it may write. Extended attributes
	// cannot be changed.
	MetadataListen
	MetadataListenStrict
	MetadataListenOpen
	filters
)

// String is the filter's name in the plan.
func (f Filter) String() string {
	return [...]string{
		"no Unix sockets but pairs", "no signals to the terminal's job", "no signals by descriptors",
		"no signals by descriptors but SIGIO", "no limits and priorities for others",
		"no connection by sending", "no connect and no bind", "no listen", "no sending to an address",
		"no set-id files", "no set-id files, no openat2", "no set-id files but directories",
		"no set-id files but directories, no openat2", "no set-id files but directories, openat2 told",
		"no programs in memory", "no sockets but pairs", "no network", "no System V IPC and no message queues",
		"metadata of writable files alone", "metadata of writable files alone, no openat2",
		"metadata of writable files alone, openat2 told",
	}[f]
}

// Why is what the filter is loaded for.
func (f Filter) Why() string {
	switch f {
	case UnixSockets:
		return "this kernel's Landlock cannot tell the host's sockets from the sandbox's (Linux 7.1 can), " +
			"and the policy names none in files.sockets, or its own_sockets cannot be held by masks"
	case GroupSignals:
		return "sbx shares a terminal's job with others, and no Landlock keeps signals inside here (Linux 6.12 does)"
	case FileSignals, NestFileSignals:
		return "no Landlock keeps the signals inside here that descriptors send (Linux 6.12 does), or a process of the " +
			"host's has asked one for its signals"
	case OwnProcess:
		return "the pid namespace is not the sandbox's own"
	case SetID, SetIDStrict:
		return "the policy's files.set_id is false"
	case SetIDListen, SetIDListenStrict, SetIDListenOpen:
		return "the policy's files.set_id is false; sbx answers what this filter leaves to a listener: " +
			"a directory gets its set-group-ID bit, a file does not"
	case NoSockets, NoNetwork:
		return "there is no network namespace, and the policy gives no network"
	case NoIPC:
		return "there is no IPC namespace"
	case MetadataListen, MetadataListenStrict, MetadataListenOpen:
		return "the policy's files.set_id is false, and there are no mounts that keep modes, owners and times of the " +
			"host's files; sbx makes these changes in the program's place, to files that it may write"
	case MemoryPrograms:
		return "the policy lets nothing be executed where the target can write"
	}
	return "a socket of the host is handed over"
}

// Policy is the filter's source: a policy that allows every other call.
func (f Filter) Policy(a seccomp.Arch) *seccomp.Policy {
	p := &seccomp.Policy{
		Default: seccomp.Action{Kind: seccomp.Allow}, Unknown: seccomp.Action{Kind: seccomp.Allow},
		// These lift the built-in rules, which the policy's own filter has.
		Allow: []string{"@nest", "@terminal-input"},
	}
	refuse := func(errno uint16, call string, when ...string) {
		action := seccomp.Action{Kind: seccomp.Errno, Errno: errno}
		p.Rules = append(p.Rules, seccomp.Rule{Syscalls: []string{call}, When: when, Action: action})
	}
	const (
		perm         = 1  // EPERM
		access       = 13 // EACCES, as Landlock says it
		notSupported = 95 // EOPNOTSUPP
		noFamily     = 97 // EAFNOSUPPORT, of a kernel without Unix sockets
		noSuchCall   = 38 // ENOSYS, of a kernel without System V IPC
	)
	// No filter sees what io_uring does, so it goes with what it could do instead.
	switch f {
	case UnixSockets:
		refuse(noFamily, "socket", "arg0 == AF_UNIX")
		refuse(noFamily, "socketpair", "arg0 == AF_UNIX && arg1 & SOCK_TYPE_MASK not in {SOCK_STREAM, SOCK_SEQPACKET}")
		refuse(perm, "io_uring_setup")
	case GroupSignals:
		// None, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH.
		refuse(perm, "kill", "arg0 == 0 && arg1 not in {0, 18, 20..22, 28}")
	case FileSignals, NestFileSignals:
		for _, call := range [...]string{"fcntl", "fcntl64"} {
			refuse(perm, call, "arg1 in {F_SETSIG, F_SETOWN_EX}")
			if f == FileSignals {
				refuse(perm, call, "arg1 == F_SETFL && arg2 & O_ASYNC != 0")
				refuse(pretend, call, "arg1 == F_SETOWN")
			}
		}
		refuse(perm, "ioctl", "arg1 in {0x8901, SIOCSPGRP}") // FIOSETOWN
		refuse(pretend, "ioctl", "arg1 == 0x5452")           // FIOASYNC
	case OwnProcess:
		refuse(perm, "prlimit64", "arg0 != 0 && arg2 != 0") // without new limits it asks only
		for _, call := range [...]string{
			"sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "migrate_pages", "move_pages",
		} {
			refuse(perm, call, "arg0 != 0")
		}
		refuse(perm, "setpriority", "arg0 != 0", "arg1 != 0") // PRIO_PROCESS
		refuse(perm, "ioprio_set", "arg0 != 1", "arg1 != 0")  // IOPRIO_WHO_PROCESS
	case FastOpen:
		refuse(notSupported, "sendto", "arg3 & MSG_FASTOPEN != 0")
		refuse(notSupported, "sendmsg", "arg2 & MSG_FASTOPEN != 0")
		refuse(notSupported, "sendmmsg", "arg3 & MSG_FASTOPEN != 0")
		refuse(perm, "io_uring_setup")
	case Connect:
		refuse(access, "connect")
		refuse(access, "bind")
		refuse(perm, "io_uring_setup")
	case Listen:
		refuse(access, "listen")
		refuse(perm, "io_uring_setup")
	case Addresses:
		refuse(access, "sendto", "arg4 != 0")
		refuse(access, "sendmsg")
		refuse(access, "sendmmsg")
		refuse(perm, "io_uring_setup")
	case SetID, SetIDStrict:
		p.Rules = seccomp.SetIDRules(f == SetIDStrict)
	case SetIDListen, SetIDListenStrict, SetIDListenOpen:
		p.Rules = listenRules(seccomp.SetIDRules(f == SetIDListenStrict))
		if f == SetIDListenOpen {
			p.Rules = append(p.Rules, seccomp.Rule{Syscalls: []string{"openat2"}, Action: seccomp.Action{Kind: seccomp.Notify}})
		}
	case NoSockets, NoNetwork:
		if f == NoSockets {
			refuse(noFamily, "socket")
			refuse(noFamily, "socketpair", "arg0 != AF_UNIX", "arg1 & SOCK_TYPE_MASK not in {SOCK_STREAM, SOCK_SEQPACKET}")
		} else {
			refuse(noFamily, "socket", "arg0 != AF_UNIX")
			refuse(noFamily, "socketpair", "arg0 != AF_UNIX")
		}
		refuse(perm, "io_uring_setup")
	case NoIPC:
		for _, call := range [...]string{
			"shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl",
			"mq_open", "mq_unlink",
		} {
			refuse(noSuchCall, call)
		}
	case MetadataListen, MetadataListenStrict, MetadataListenOpen:
		p.Rules = metadataRules(f == MetadataListenStrict)
		if f == MetadataListenOpen {
			p.Rules = append(p.Rules, seccomp.Rule{Syscalls: []string{"openat2"}, Action: seccomp.Action{Kind: seccomp.Notify}})
		}
	case MemoryPrograms:
		refuse(access, "memfd_create", "arg1 & MFD_NOEXEC_SEAL == 0", "arg1 & MFD_EXEC != 0")
	}
	// All architectures that the machine runs: the policy's filter denies the others.
	for _, other := range seccomp.Arches() {
		if other != a && other.Compiles() && a.Runs(other) {
			p.Architectures = append(p.Architectures, other.String())
		}
	}
	return p
}

// listenRules are the rules with chmod(2) and its like answering the listener,
// if the mode has the set-group-ID bit alone. No file is anybody else's for that
// of a directory, which files made in it get their group from.
func listenRules(rules []seccomp.Rule) []seccomp.Rule {
	for _, x := range []struct {
		mode  string
		calls []string
	}{{"arg1", []string{"chmod", "fchmod"}}, {"arg2", []string{"fchmodat", "fchmodat2"}}} {
		for i := range rules {
			rules[i].Syscalls = slices.DeleteFunc(rules[i].Syscalls, func(s string) bool { return slices.Contains(x.calls, s) })
		}
		rules = append(rules,
			seccomp.Rule{Syscalls: x.calls, When: []string{x.mode + " & S_ISUID != 0"},
				Action: seccomp.Action{Kind: seccomp.Errno, Errno: 1}},
			seccomp.Rule{Syscalls: x.calls, When: []string{x.mode + " & S_ISGID != 0"},
				Action: seccomp.Action{Kind: seccomp.Notify}})
	}
	return rules
}

// metadataRules are listenRules with all that changes a file's mode, owner or times
// answering the listener, by whatever name of the file. Extended attributes are as on a
// file system without them.
func metadataRules(strict bool) []seccomp.Rule {
	const notSupported = 95 // EOPNOTSUPP
	return append(listenRules(seccomp.SetIDRules(strict)),
		seccomp.Rule{Syscalls: []string{
			"chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "futimesat",
			"utimensat", "utimensat_time64",
		}, Action: seccomp.Action{Kind: seccomp.Notify}},
		seccomp.Rule{Syscalls: []string{
			"setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
			"file_setattr",
		}, Action: seccomp.Action{Kind: seccomp.Errno, Errno: notSupported}})
}

// pretend is the errno in a Policy that stands for none: the call is not made,
// and succeeds. Policies have no such answer. Finish puts it in.
const pretend = 4095

// Finish makes a compiled Policy the program that is loaded.
func Finish(p seccomp.Program) seccomp.Program {
	const size = 8
	from := seccomp.Program{0x06, 0, 0, 0, pretend & 0xff, pretend >> 8, 5, 0} // return SECCOMP_RET_ERRNO, little-endian
	for i := 0; i+size <= len(p); i += size {
		if in := p[i : i+size]; bytes.Equal(in, from) {
			in[4], in[5] = 0, 0
		}
	}
	return p
}

// Program is the compiled filter for a machine of that architecture, or nil where
// sbx is not built for it.
func (f Filter) Program(a seccomp.Arch) seccomp.Program {
	switch a {
	case seccomp.AMD64:
		return seccomp.Program(amd64[f])
	case seccomp.ARM64:
		return seccomp.Program(arm64[f])
	}
	return nil
}

// Filters lists all filters.
func Filters() []Filter {
	all := make([]Filter, filters)
	for i := range all {
		all[i] = Filter(i)
	}
	return all
}
