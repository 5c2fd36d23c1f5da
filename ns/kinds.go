// Package ns has the steps that are about namespaces and what is done inside new
// ones: id maps, mounts, the loopback device. It decides nothing.
package ns

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Set is a set of namespaces, as CLONE_NEW* flags of clone(2).
type Set uint64

// The kinds of namespaces(7).
const (
	User   Set = unix.CLONE_NEWUSER   // user_namespaces(7), Linux 3.8
	Mount  Set = unix.CLONE_NEWNS     // mount_namespaces(7), Linux 2.4.19
	PID    Set = unix.CLONE_NEWPID    // pid_namespaces(7), Linux 2.6.24
	Net    Set = unix.CLONE_NEWNET    // network_namespaces(7), Linux 2.6.29
	IPC    Set = unix.CLONE_NEWIPC    // ipc_namespaces(7), Linux 2.6.19
	UTS    Set = unix.CLONE_NEWUTS    // uts_namespaces(7), Linux 2.6.19
	Cgroup Set = unix.CLONE_NEWCGROUP // cgroup_namespaces(7), Linux 4.6
	Time   Set = unix.CLONE_NEWTIME   // time_namespaces(7), Linux 5.6
)

// Names lists the set's members, in the order of the constants above.
func (s Set) Names() []string {
	var list []string
	for _, k := range [...]struct {
		set  Set
		name string
	}{
		{User, "user"}, {Mount, "mount"}, {PID, "pid"}, {Net, "net"},
		{IPC, "ipc"}, {UTS, "uts"}, {Cgroup, "cgroup"}, {Time, "time"},
	} {
		if s&k.set != 0 {
			list = append(list, k.name)
		}
	}
	return list
}

// String is the members with spaces between, or "none".
func (s Set) String() string {
	if s == 0 {
		return "none"
	}
	return strings.Join(s.Names(), " ")
}
