// Package host reads from the machine what a plan needs to know, as plain data. The
// packages above it read nothing, so the same facts always give the same plan.
package host

import (
	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/sys"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/terminal"
)

// Facts are what Probe found out about the machine and the caller. Tests write them
// by hand.
type Facts struct {
	// UID and GID are the caller's effective ids.
	UID, GID int
	Caps     Caps
	LSM      LSM
	Listener Listener
	// IPv6 says that the kernel has IPv6. It is probed only where the policy names hosts.
	IPv6 bool
	// PacketSockets says that there are such (packet(7)) and that no outer filter denies
	// them. It is probed with IPv6.
	PacketSockets bool
	// GroupsFixed says that the caller's user namespace denies setgroups(2),
	// as that of a rootless container does.
	GroupsFixed bool
	Terminal    Terminal
	// Ignored and Mask are the signal dispositions and the mask that sbx was
	// started with, OpenFiles its RLIMIT_NOFILE, soft and hard, and DeathSignal what it
	// gets when its parent dies, or 0.
	Ignored, Mask uint64
	DeathSignal   int
	OpenFiles     [2]uint64
	// CoreMax is the hard limit on core dumps, RLIMIT_CORE.
	CoreMax uint64
	// Stdio describes what descriptors 0, 1 and 2 are, and Kept those above 2 that
	// cross besides.
	Stdio [3]Stdio
	Kept  []Stdio
	// Handed are the descriptors that the target gets, standard streams too.
	Handed []Handed
	// Files describes each path of the host that the policy needs, by its name.
	Files map[string]File
	// Found are the files that match the policy's patterns in the projects. Sockets
	// are the sockets that the search saw there. Masks are the files in /proc that the
	// target could read and must not.
	Found, Sockets, Masks []Found
	// Guarded is what the policy's guard matches in the projects, and what that
	// points to in them.
	Guarded []Found
	// GuardedLinks are the repositories in the projects that are symbolic links.
	GuardedLinks []string
	// SearchTruncatedAt is the directory in which the search for sockets stopped, or ""
	// where it was complete.
	SearchTruncatedAt string
	// ListsChildren says that /proc has the list of a process's children. It is probed
	// only if a pid namespace is to be shared.
	ListsChildren bool
	// SubIDs are the ids that the caller may map besides its own, if the policy needs
	// them.
	SubIDs SubIDs
	// Owners are the numbers of the users that files.path names as owners.
	Owners map[string]int
	// Namespaces are those that the policy names by path.
	Namespaces map[string]Namespace
	// ServiceType is the Type= of the service whose main process this is, as far as that is
	// known.
	ServiceType string
	// UserNS is the caller's own user namespace, if there are Namespaces.
	UserNS ns.ID
	Limits Limits
	// Own are sbx's own directories, Sources the files that the policy was read
	// from, and Receipt is where --report goes, if that has a name.
	Own     []OwnDir
	Sources []Source
	Receipt File
	// Indexes are files that name an index of packages, which the target may not
	// see.
	Indexes []string
	// Aliases are other names of what must not be written.
	Aliases []Alias

	// Private and Listed are for a launch without namespaces. Listed has what is in the
	// directories between what is shown and what is hidden in it, but for links.
	Private Private
	Listed  map[string][]Found

	// Published are the directories of the Unix sockets that network.listen names on the
	// host, by the name of the socket.
	Published map[string]File

	fds     []int // they keep the inodes in Files from being reused
	streams []int // those of Metadata

	// entries is the Tree of the policy that Probe was given.
	entries *policy.Tree
	policy  *policy.Policy

	walk  walker
	links map[string][]link // those on the way to what Files describes
	// searched are the directories of PATH, where a Chooser asks.
	searched []ns.ID
	account  string // the caller's home by the password file, or "": byAccount reads it
	zones    []zone // where no link is to be trusted

	inside []string // projects whose repository has not been looked for
	home   string

	guardings []guardedProject

	// masksSockets says that sockets are looked for, socketsSeen are the projects in which
	// that has been done.
	masksSockets bool
	socketsSeen  []string

	// rules are what is looked for by the policy with those files, searchBuf what
	// directories are read into.
	rules     *rules
	ruled     *policy.Files
	searchBuf []byte

	learns      bool // the run is learnt from
	searchLimit int  // in the place of SearchLimit, if it is above 0

	unremembered []*scan // what Remember writes down
}

// Tree is the policy's, which is the same as long as a plan is made, and takes time to
// make.
func (h *Facts) Tree(p *policy.Policy) *policy.Tree {
	if h.policy == p && p != nil {
		return h.entries
	}
	return p.Tree()
}

// Caps are the caller's capabilities.
type Caps struct {
	// Effective is the effective set. Keepable are those capabilities that the policy
	// names and that the caller could keep through an exec: they are permitted and in
	// the bounding set.
	Effective, Keepable caps.Set
	// Last is the number of the kernel's last capability.
	Last int
}

// LSM is what the kernel's security modules offer.
type LSM struct {
	// Landlock is the kernel's Landlock ABI, 0 without Landlock.
	Landlock int
	// AppArmor and SELinux are the labels of sbx itself, empty where the module is
	// off. They are read only if the policy names a label. Permissive says that SELinux
	// denies nothing.
	AppArmor, SELinux string
	Permissive        bool
}

// Terminal is about the caller's terminal.
type Terminal struct {
	// Controlling says that the caller has a controlling terminal.
	Controlling bool
	// Name is the path of the controlling terminal, if the target inherits it as a
	// standard stream and the name leads to it.
	Name string
	// Caller is the terminal to relay, if the policy gives the target one of its own
	// and the caller has one.
	Caller *terminal.Caller
}

// Found is a path of the host that a search found.
type Found struct {
	Path string
	Dir  bool
	// ID is the file that was found. The zero value matches any file.
	ID ns.ID
	// Links is the number of its hard links.
	Links uint64
	// Unread says that it is a directory which could not be searched, so all of it
	// is hidden. Unsearched says that it is one beyond SearchLimit.
	Unread, Unsearched bool
	// Why is why it is hidden.
	Why string
}

// File is what was at a path of the host while planning.
type File struct {
	// Real is the path with all symbolic links resolved.
	Real string
	// Link is the text of the symbolic link, if the path's last part is one. Via is
	// the first link on the way that belongs to the caller.
	Link, Via string
	// Mode is st_mode's file type, such as S_IFDIR; 0 where nothing is there.
	Mode uint32
	// Major, Minor and Ino identify the file at Real. Rdev is a device file's own
	// number.
	Major, Minor uint32
	Ino, Rdev    uint64
	// UID, GID and Perm are its owner, group and mode bits. NoWrite is why the caller,
	// with all its privileges on the host, may not write to it, or nil.
	UID, GID, Perm uint32
	// Links is the number of its hard links. Covered says that it is what an outer
	// sandbox hides something with.
	Links   uint64
	Covered bool
	// FD is an O_PATH descriptor of it, open until Facts.Close.
	FD      int
	NoWrite error
	// NoExec says that it lies on a mount without execution. Mounted is a mount point
	// below it. Both are known only of the lower directory of an overlay.
	NoExec  bool
	Mounted string
	// Err is why the path could not be looked at; a missing file is no error.
	// Closed says that it is so because of a directory of somebody else's, which
	// the caller may not search and cannot open either.
	Err    error
	Closed bool
}

// Dir says that the file is a directory.
func (f File) Dir() bool { return f.Mode == unix.S_IFDIR }

// Missing says that nothing is there.
func (f File) Missing() bool { return f.Mode == 0 && f.Err == nil }

// ID is the file's identity.
func (f File) ID() ns.ID { return ns.ID{Major: f.Major, Minor: f.Minor, Ino: f.Ino} }

// CloseFiles closes what Probe has kept open of the policy's files. It is called after
// the start.
func (h *Facts) CloseFiles() {
	sys.CloseAll(h.fds)
	h.fds = nil
	h.walk.close()
}

// Close lets go of all that Probe holds open; when the sandbox has ended.
func (h *Facts) Close() {
	h.CloseFiles()
	for _, fd := range h.streams {
		unix.Close(fd)
	}
	h.streams = nil
}
