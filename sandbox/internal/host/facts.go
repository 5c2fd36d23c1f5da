// Package host reads the machine: what a plan needs to know of it, as plain
// data. Nothing above it reads anything, so a plan is the same wherever it is
// made from the same facts.
package host

import (
	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/ns"
	"sbx/sandbox/internal/terminal"
)

// Facts are what Probe found out about the machine and the caller. Tests write
// them down.
type Facts struct {
	// UID and GID are the caller's effective ids.
	UID, GID int
	Caps     Caps
	LSM      LSM
	// GroupsFixed says that the caller's user namespace denies setgroups(2),
	// as that of a rootless container does.
	GroupsFixed bool
	Terminal    Terminal
	// Ignored and Mask are the signal dispositions and the mask that sbx was
	// started with, OpenFiles its RLIMIT_NOFILE, soft and hard.
	Ignored, Mask uint64
	OpenFiles     [2]uint64
	// CoreMax is the hard limit on core dumps, RLIMIT_CORE.
	CoreMax uint64
	// Stdio describes what descriptors 0, 1 and 2 are, and Kept those above 2 that
	// cross besides.
	Stdio [3]Stdio
	Kept  []Stdio
	// Files describes each path of the host that the policy needs, by its name.
	Files map[string]File
	// Found is what the policy's patterns match in the projects, Sockets are
	// the sockets that were seen there, and Masks what of /proc the target could
	// read and should not.
	Found, Sockets, Masks []Found
	// SearchTruncatedAt is the directory in which the search for them was given
	// up half-way, if there is one.
	SearchTruncatedAt string
	// ListsChildren says that /proc has the list of a process's children. It is
	// asked for if a pid namespace is to be shared.
	ListsChildren bool
	// SubIDs are the ids that the caller may map besides its own, if the policy
	// asks for them.
	SubIDs SubIDs
	// Namespaces are those that the policy names by path.
	Namespaces map[string]Namespace
	Limits     Limits

	fds     []int // keep what Files describes from being replaced and reused
	streams []int // are those of Metadata
}

// Caps are the caller's capabilities.
type Caps struct {
	// Effective is the effective set. Keepable is what the caller could keep
	// through an exec, of what the policy names: permitted and in the bounding set.
	Effective, Keepable caps.Set
	// Last is the number of the kernel's last capability.
	Last int
}

// LSM is what the kernel's security modules offer.
type LSM struct {
	// Landlock is the kernel's Landlock ABI, 0 without.
	Landlock int
	// AppArmor and SELinux are the labels that sbx itself runs under, empty
	// where the module is not on; only asked for if the policy names one.
	// Permissive says that SELinux denies nothing.
	AppArmor, SELinux string
	Permissive        bool
}

// Terminal is the caller's.
type Terminal struct {
	// Controlling says that the caller has a controlling terminal.
	Controlling bool
	// Caller is the terminal to relay, if the policy gives the target one of
	// its own and the caller is at one.
	Caller *terminal.Caller
}

// Found is a path of the host that a search came to.
type Found struct {
	Path string
	Dir  bool
	// ID is what was found there; the zero value: whatever is.
	ID ns.ID
}

// File is what a path of the host was while planning.
type File struct {
	// Real is the path without symbolic links in it.
	Real string
	// Link is the text of the link, if the path's last part is one.
	Link string
	// Mode is st_mode's file type, S_IFDIR for example; 0 when missing.
	Mode uint32
	// Major, Minor and Ino identify the file that Real is; Rdev is a device
	// file's own number.
	Major, Minor uint32
	Ino, Rdev    uint64
	// UID, GID and Perm are its owner, group and mode bits; NoWrite is why the
	// caller, with all its powers on the host, may not write to it, if so.
	UID, GID, Perm uint32
	// Links is how many names it has.
	Links uint64
	// FD is open to it, by O_PATH, until Facts.Close.
	FD      int
	NoWrite error
	// NoExec says that it lies on a mount without execution, Mounted is what
	// is mounted below it: known of what is to be an overlay alone.
	NoExec  bool
	Mounted string
	// Err is why the path could not be looked at, if not for being missing.
	Err error
}

// Dir says that the file is a directory.
func (f File) Dir() bool { return f.Mode == unix.S_IFDIR }

// Missing says that nothing is there.
func (f File) Missing() bool { return f.Mode == 0 && f.Err == nil }

// ID is the file's identity.
func (f File) ID() ns.ID { return ns.ID{Major: f.Major, Minor: f.Minor, Ino: f.Ino} }

// CloseFiles lets go of what Probe holds open of the policy's files; after the
// start.
func (h *Facts) CloseFiles() {
	for _, fd := range h.fds {
		unix.Close(fd)
	}
	h.fds = nil
}

// Close lets go of all that Probe holds open; when the sandbox has ended.
func (h *Facts) Close() {
	h.CloseFiles()
	for _, fd := range h.streams {
		unix.Close(fd)
	}
	h.streams = nil
}
