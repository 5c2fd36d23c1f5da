package sandbox

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/sys"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/startstate"
	"sbx/sandbox/internal/terminal"
)

// Host is everything that Build is told of the machine and the caller: Probe
// reads it, tests write it down.
type Host struct {
	UID, GID int
	// Caps is the caller's effective set; Held is what it could keep through
	// an exec, of what the policy names: permitted and in the bounding set.
	// LastCap is the number of the kernel's last capability.
	Caps, Held caps.Set
	LastCap    int
	// Landlock is the kernel's Landlock ABI, 0 without.
	Landlock int
	// AppArmor and SELinux are the labels that sbx itself runs under, empty
	// where the module is not on; only asked for if the policy names one.
	// Permissive says that SELinux denies nothing.
	AppArmor, SELinux string
	Permissive        bool
	// GroupsFixed says that the caller's user namespace denies setgroups(2),
	// as that of a rootless container does.
	GroupsFixed bool
	// Terminal says that the caller has a controlling terminal.
	Terminal bool
	// Caller is the terminal to relay, if the policy gives the target one of
	// its own and the caller is at one.
	Caller *terminal.Caller
	// Signals are the dispositions and the mask that sbx was started with,
	// OpenFiles its RLIMIT_NOFILE, soft and hard.
	Ignored, Mask uint64
	OpenFiles     [2]uint64
	// CoreMax is the hard limit on core dumps, RLIMIT_CORE.
	CoreMax uint64
	// Stdio describes what descriptors 0, 1 and 2 are.
	Stdio [3]Stdio
	// Files describes each path that the policy names and its "?"-less form.
	Files map[string]File
	// Hidden is what the policy's patterns match below the project.
	Hidden []Hidden
	// HideCut is the directory in which the search for them was given up
	// half-way, if there is one.
	HideCut string
	// Sockets are those that were seen below the same directories.
	Sockets []Hidden
	// Masks are the files and directories of /proc that the target could
	// read and should not.
	Masks []Hidden

	// ListsChildren says that /proc has the list of a process's children, if a
	// pid namespace is to be shared.
	ListsChildren bool
	// Sub are the ids that the caller may map besides its own, if the policy
	// asks for them.
	Sub Sub
	// Spaces are the namespaces that the policy names by path.
	Spaces map[string]Space
	Bounds

	fds []int // keep what Files describes from being replaced and reused
}

// Stdio is one of the standard streams: its file type as in st_mode, and how
// it is open.
type Stdio struct {
	Mode        uint32
	Read, Write bool
	Path        bool // open by O_PATH only
	Named       bool // a FIFO that has a name, not a pipe
}

// Hidden is a path that a pattern matched.
type Hidden struct {
	Path string
	Dir  bool
	// ID is what was found there; the zero value: whatever is.
	ID ns.ID
}

// File is what a path of the outside was while planning.
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
	// caller, with all its powers outside, may not write to it, if so.
	UID, GID, Perm uint32
	// Links is how many names it has.
	Links uint64
	// FD is open to it, by O_PATH, until Host.Close.
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

func (f File) id() ns.ID { return ns.ID{Major: f.Major, Minor: f.Minor, Ino: f.Ino} }

// Close lets go of the files that Probe holds open; after the start.
func (h *Host) Close() {
	for _, fd := range h.fds {
		unix.Close(fd)
	}
	h.fds = nil
}

// Probe reads the machine as far as p and t need it. The host keeps the files
// that p names open until Close, so that what the child finds in their place
// can be told apart from them. Kernel 5.12 or newer is assumed; on an older
// one the first step that needs more fails and says so.
func Probe(p *policy.Policy, t Target) (*Host, error) {
	h := &Host{UID: unix.Geteuid(), GID: unix.Getegid()}
	var err error
	if h.Landlock, err = landlock.ABI(); err != nil && p.Process.Landlock != "off" {
		return nil, &NeedError{What: "ask the kernel for Landlock: " + err.Error(), Fix: "an outer sandbox forbids it; landlock = \"off\" in the policy's [process] does without"}
	}
	if err := h.modules(p); err != nil {
		return nil, err
	}
	if h.Caps, h.Held, err = caps.Own(); err != nil {
		return nil, err
	}
	h.Held = caps.Bounded(h.Held & named(p.Process.Capabilities))
	if h.LastCap, err = caps.Last(); err != nil {
		return nil, err
	}
	if h.Caps&caps.Admin != 0 {
		// Not readable means that there is no such file before Linux 3.19,
		// or no /proc, which others report.
		b, err := sys.ReadFile("/proc/self/setgroups")
		h.GroupsFixed = err == nil && strings.HasPrefix(b, "deny")
	}
	if fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0); err == nil {
		h.Terminal = true
		unix.Close(fd)
	}
	if p.Process.Terminal == "pty" {
		if h.Caller, err = findTerminal(t); err != nil {
			return nil, err
		}
	}
	for fd := range h.Stdio {
		var st unix.Stat_t
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err == nil && unix.Fstat(fd, &st) == nil {
			access := flags & unix.O_ACCMODE
			h.Stdio[fd] = Stdio{st.Mode & unix.S_IFMT, access != unix.O_WRONLY, access != unix.O_RDONLY, flags&unix.O_PATH != 0,
				st.Mode&unix.S_IFMT == unix.S_IFIFO && fifoNamed(fd)}
		}
	}
	h.spaces(p.Namespaces)
	if pid := p.Namespaces.PID; pid != "" && pid != "new" {
		h.ListsChildren = unix.Access("/proc/thread-self/children", unix.R_OK) == nil
	}
	if policy.IsTrue(p.Namespaces.Ranges) {
		h.Sub = h.ranges()
	}
	h.Ignored, h.Mask = startstate.Ignored(), startstate.Mask()
	h.OpenFiles[0], h.OpenFiles[1] = startstate.OpenFiles()
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		return nil, fmt.Errorf("ask for the limit on core dumps: %w", err)
	}
	h.CoreMax = core.Max
	paths := make([]string, 0, 64)
	// With all of the outside shown read-only, what may be missing is shown with
	// it; where all may be written, what is only to be read needs its own mount.
	whole := slices.Contains(p.Files.Read, "/") && p.Files.Paths["/"].From == "" && !writes(p, "/")
	for i, list := range [...][]string{p.Files.Write, p.Files.Hide, p.Files.Read} {
		for _, s := range list {
			name, optional := strings.CutPrefix(s, "?")
			if read := i == 2; strings.HasPrefix(name, "/") && !(read && optional && whole && p.Files.Paths[name] == (policy.PathOptions{})) {
				paths = append(paths, name)
			}
		}
	}
	paths = append(paths, between(p)...)
	if p.Namespaces.PID == "host" && policy.NotFalse(p.Files.Proc) {
		paths = append(paths, "/proc")
	}
	if policy.NotFalse(p.Files.Dev) {
		for _, d := range devices {
			paths = append(paths, "/dev/"+d)
		}
	}
	if s := notifySocket(t.Env); strings.HasPrefix(s, "/") {
		paths = append(paths, s)
	}
	h.Files = make(map[string]File, len(paths))
	for _, s := range paths {
		if _, have := h.Files[s]; !have {
			h.Files[s] = h.look(s)
		}
	}
	if err := h.lookFurther(p, t); err != nil {
		return nil, err
	}
	for _, s := range p.Files.Write {
		if from := p.Files.Paths[s].From; from != "" {
			s = from
		}
		if f := h.Files[s]; f.Mode != 0 { // not optional, and there
			f.NoWrite = unix.Faccessat(unix.AT_FDCWD, f.Real, unix.W_OK, unix.AT_EACCESS)
			h.Files[s] = f
		}
	}
	if policy.NotFalse(p.Files.Proc) {
		if err := h.masks(); err != nil {
			return nil, err
		}
	}
	if p.Limits != (policy.Limits{}) {
		if err := h.probeLimits(p); err != nil {
			return nil, err
		}
	}
	if err := h.findAll(p, t); err != nil {
		return nil, err
	}
	return h, nil
}

// fifoNamed says whether a FIFO has a name, and so is no pipe of the kernel's own.
func fifoNamed(fd int) bool {
	const pipefs = 0x50495045 // PIPEFS_MAGIC
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && st.Type != pipefs
}

// look opens a path and describes what it is. Mostly the path is already
// real, which the first call finds out.
func (h *Host) look(s string) File {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, s, &how)
	f := File{Real: s}
	var st unix.Stat_t
	if err == nil {
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			unix.Close(fd)
			if f.Link, err = readlink(s); err == nil {
				err = unix.ELOOP
			}
		}
	}
	if err == unix.ELOOP { // a link at the end or on the way
		if fd, err = unix.Open(s, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
			err = unix.Fstat(fd, &st)
			if err == nil {
				if f.Real, err = readlink("/proc/self/fd/" + strconv.Itoa(fd)); err != nil {
					unix.Close(fd)
					return File{Err: &NeedError{What: "see where it leads by /proc: " + err.Error(), Fix: "mount /proc: mount -t proc proc /proc"}}
				}
			}
		}
	}
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return File{}
	case err != nil:
		return File{Err: err}
	}
	h.fds, f.FD = append(h.fds, fd), fd
	f.Mode = st.Mode & unix.S_IFMT
	f.Major, f.Minor, f.Ino = unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino
	f.Rdev = st.Rdev
	f.UID, f.GID, f.Perm, f.Links = st.Uid, st.Gid, st.Mode&0o777, uint64(st.Nlink)
	return f
}

func readlink(name string) (string, error) {
	var b [unix.PathMax]byte
	n, err := unix.Readlink(name, b[:])
	return string(b[:max(n, 0)]), err
}

// procMasks are what container runtimes mask in /proc, and what else shows
// the kernel's memory, keys or other users to those who may read it.
var procMasks = [...]string{"acpi", "asound", "bus", "fs", "irq", "scsi", "kcore", "keys", "key-users", "kmsg",
	"kpagecgroup", "kpagecount", "kpageflags", "latency_stats", "sched_debug", "slabinfo", "sysrq-trigger",
	"timer_list", "timer_stats", "vmallocinfo"}

func (h *Host) masks() error {
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("look at /proc: %w", err)
	}
	defer unix.Close(proc)
	// What is missing there would not be masked inside, so it has to be the
	// kernel's, and all of it: without "subset=pid" (proc(5), Linux 5.8).
	var fs unix.Statfs_t
	if err := unix.Fstatfs(proc, &fs); err != nil {
		return fmt.Errorf("look at /proc: %w", err)
	}
	if fs.Type != unix.PROC_SUPER_MAGIC || unix.Faccessat(proc, "version", unix.F_OK, 0) != nil {
		return &NeedError{What: "tell by /proc what of the kernel's to mask: something else is mounted there, or a part of it only",
			Fix: "mount -t proc proc /proc"}
	}
	for _, name := range procMasks {
		var st unix.Stat_t
		if unix.Fstatat(proc, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		// What the target's user cannot open needs no mask; root needs all.
		if h.UID == 0 || st.Mode&0o007 != 0 {
			h.Masks = append(h.Masks, Hidden{Path: "/proc/" + name, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR})
		}
	}
	return nil
}

// between lists the directories that lie between what may be written and
// what in it may only be read. They are bound onto themselves: a directory
// that something is mounted on cannot be renamed, and with it would go what
// is guarded below, to leave its place to a forgery.
func between(p *policy.Policy) []string {
	var list []string
	for _, s := range p.Files.Read {
		s = strings.TrimPrefix(s, "?")
		over := "" // the nearest writable entry over s
		for _, w := range p.Files.Write {
			if w = strings.TrimPrefix(w, "?"); w != s && w != "/" && policy.Within(s, w) && len(w) > len(over) {
				over = w
			}
		}
		if over == "" {
			continue
		}
		for d := path.Dir(s); d != over; d = path.Dir(d) {
			if !slices.Contains(list, d) {
				list = append(list, d)
			}
		}
	}
	return list
}

// Shows says whether the target will see dir's own content: whether the
// nearest entry over it is the outside's and not a private tmpfs.
func Shows(p *policy.Policy, dir string) bool {
	nearest, outside := "", false
	for i, list := range [...][]string{p.Files.Tmpfs, p.Files.Overlay, p.Files.Read, p.Files.Write} {
		for _, s := range list {
			if s = strings.TrimPrefix(s, "?"); policy.Within(dir, s) && len(s) >= len(nearest) {
				nearest, outside = s, i > 0
			}
		}
	}
	return outside
}
