package cgroup

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
)

// mounts are where systemd and other systems mount cgroup v2. The second is for
// machines that also have version 1.
var mounts = [...]string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}

// Find lists the cgroups below which the caller may make others with at least one
// controller: first its own, then those above. It changes nothing. The caller
// closes their descriptors. If there is none, why is the reason. all are the
// controllers that the machine has.
func Find() (places []Parent, all Set, why string) {
	own, why := ownPath()
	if why != "" {
		return nil, 0, why
	}
	root, mount := openMount()
	if root < 0 {
		return nil, 0, "there is no cgroup v2 file system at " + mounts[0]
	}
	defer unix.Close(root)
	all = parse(read(root, "cgroup.controllers"))
	var above ancestors
	for dir := own; ; dir = path.Dir(dir) {
		fd, err := below(root, dir)
		if err != nil {
			return places, all, fmt.Sprintf("open cgroup %s: %v", text.Quote(mount+dir), err)
		}
		if dir == own && !strings.Contains("\n"+read(fd, "cgroup.procs"), "\n"+strconv.Itoa(unix.Getpid())+"\n") {
			unix.Close(fd)
			return nil, all, "the cgroup of this process is not to be found at " + text.Quote(mount+dir)
		}
		p := Parent{Path: path.Join(mount, dir), FD: fd, Pids: above.pids}
		no := p.look(dir == own)
		if no == "" {
			places = append(places, p)
		} else if why == "" {
			why = no
		}
		stop := above.pass(fd, p.Path)
		if no != "" {
			unix.Close(fd)
		}
		if dir == "/" || stop != "" {
			if stop != "" {
				why = stop
			}
			return places, all, why
		}
	}
}

// Unified says whether cgroup v2 has all controllers, with no version 1 beside it.
func Unified() bool {
	var st unix.Statfs_t
	return unix.Statfs(mounts[0], &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// ownPath is the path of this process's cgroup of version 2.
func ownPath() (own, why string) {
	cgroups, err := sys.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", "read /proc/self/cgroup: " + err.Error()
	}
	for line := range strings.Lines(cgroups) {
		if own, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			if !strings.HasPrefix(own, "/") || strings.HasPrefix(own, "/..") || strings.HasSuffix(own, " (deleted)") {
				return "", "this process's cgroup " + text.Quote(own) + " cannot be seen from here"
			}
			return own, ""
		}
	}
	return "", "this kernel has no cgroup v2"
}

func openMount() (fd int, name string) {
	for _, name := range mounts {
		fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		var st unix.Statfs_t
		if unix.Fstatfs(fd, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return fd, name
		}
		unix.Close(fd)
	}
	return -1, ""
}

// below opens a directory of the mount. It follows no links and enters no file
// system that is mounted over it.
func below(root int, dir string) (int, error) {
	return unix.Openat2(root, "."+dir, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV})
}

// look finds out what the caller may do below p. own says that this process is in
// p. why is the reason if the caller may do nothing.
func (p *Parent) look(own bool) (why string) {
	quoted := text.Quote(p.Path)
	for _, name := range [...]string{".", "cgroup.procs"} {
		if err := unix.Faccessat(p.FD, name, unix.W_OK, unix.AT_EACCESS); err != nil {
			return "the caller may not write to cgroup " + quoted + ": " + err.Error()
		}
	}
	kind := strings.TrimSpace(read(p.FD, "cgroup.type"))
	if kind != "" && kind != "domain" {
		return "cgroup " + quoted + " is of type " + text.Quote(kind)
	}
	have := parse(read(p.FD, "cgroup.controllers"))
	p.Enabled = parse(read(p.FD, "cgroup.subtree_control"))
	p.Have = p.Enabled
	if have == 0 {
		return "cgroup " + quoted + " has none of the controllers memory, pids, cpu and io"
	}
	if have != p.Enabled && unix.Faccessat(p.FD, "cgroup.subtree_control", unix.W_OK, unix.AT_EACCESS) == nil {
		// Except in the root, which has no cgroup.type, the kernel allows no processes
		// in a cgroup with controllers enabled for those below.
		procs := strings.TrimSpace(read(p.FD, "cgroup.procs"))
		switch {
		case kind == "" || procs == "":
			p.Have = have
		case own && procs == strconv.Itoa(unix.Getpid()) && p.delegated():
			p.Have, p.SoleMember = have, true
		}
	}
	if p.Have == 0 {
		return "cgroup " + quoted + " has other processes in it, or is not delegated, " +
			"so that no controllers can be enabled below it"
	}
	return ""
}

// delegated says whether the manager of the cgroup leaves the cgroups below it to
// the caller. Signs of that are systemd's mark for Delegate=, another owner than
// root, and a machine without systemd.
func (p *Parent) delegated() bool {
	var st unix.Stat_t
	if unix.Fstatat(p.FD, "cgroup.procs", &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Uid != 0 {
		return true
	}
	if unix.Access("/run/systemd/system", unix.F_OK) != nil {
		return true
	}
	fd, err := unix.Openat(p.FD, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	for _, name := range [...]string{"trusted.delegate", "user.delegate"} {
		var b [1]byte
		if n, err := unix.Fgetxattr(fd, name, b[:]); err == nil && n == 1 && b[0] == '1' {
			return true
		}
	}
	return false
}

// ancestors has the limits of cgroups that would not apply to a sandbox whose
// cgroup is made above them.
type ancestors struct{ pids uint64 }

// pass adds a cgroup. why is the reason if one of its limits cannot be applied by
// other means. Then no cgroup above it can be used.
func (l *ancestors) pass(fd int, path string) (why string) {
	for _, f := range [...]struct{ file, none string }{
		{"memory.max", "max"}, {"memory.high", "max"}, {"memory.swap.max", "max"},
		{"cpu.max", "max"}, {"io.max", ""}, {"cpuset.cpus", ""},
	} {
		limit := strings.TrimSpace(read(fd, f.file))
		if first, _, _ := strings.Cut(limit, " "); limit != "" && first != f.none {
			return "cgroup " + text.Quote(path) + " has a limit of its own (" + f.file + "), " +
				"which would not apply to a cgroup above it, and no cgroup can be made in it"
		}
	}
	// Every unit of systemd's has a limit on processes. So that one is no obstacle:
	// the sandbox gets the same limit for itself.
	n, err := strconv.ParseUint(strings.TrimSpace(read(fd, "pids.max")), 10, 64)
	if err == nil && (l.pids == 0 || n < l.pids) {
		l.pids = n
	}
	return ""
}

// read is the content of a cgroup's file, or "" where the file is missing.
func read(dir int, name string) string {
	s, err := sys.ReadFileAt(dir, name, unix.O_NOFOLLOW)
	if err != nil {
		return ""
	}
	return s
}
