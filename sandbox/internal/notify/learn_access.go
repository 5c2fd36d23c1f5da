package notify

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy/learn"
)

// owner is with which ids a process reaches files.
type owner struct {
	uid    uint32
	groups []uint32
}

// may says whether the modes of the file let the owner do what the bits say, as of others:
// 4 to read, 2 to write, 1 to search.
func (o owner) may(mode, uid, gid, bits uint32) bool {
	switch {
	case uid == o.uid:
		bits <<= 6
	case slices.Contains(o.groups, gid):
		bits <<= 3
	}
	return mode&bits == bits
}

// ownerOf are the ids for files in a process's /proc/PID/status.
func ownerOf(status string) owner {
	const filesystem = 3 // the last id of the line
	uids, gids := ids(status, "Uid:"), ids(status, "Gid:")
	o := owner{uid: uids[filesystem], groups: []uint32{gids[filesystem]}}
	_, rest, _ := strings.Cut(status, "\nGroups:")
	line, _, _ := strings.Cut(rest, "\n")
	for word := range strings.FieldsSeq(line) {
		o.groups = append(o.groups, parseID(word))
	}
	return o
}

// learnAccess records that root's program has reached a path by a capability alone.
func (l *Listener) learnAccess(name string, access learn.Access) {
	if !l.learner.root {
		return
	}
	const overrides = 1 << unix.CAP_DAC_OVERRIDE
	status := l.status()
	if status == "" || field(status, "CapEff:", 16)&overrides == 0 {
		return
	}
	o := ownerOf(status)
	root, err := unix.Open(l.proc("root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(root)
	if needs := !l.reaches(o, root, name, access); needs && l.valid() {
		l.noteCapability("dac_override")
	}
}

// reached is a directory that somebody with the ids may search, with all over it.
type reached struct {
	dir      string
	uid, gid uint32
}

// reaches says whether the modes on the way to the path, and its own, are enough.
func (l *Listener) reaches(o owner, root int, name string, access learn.Access) bool {
	dir := path.Dir(name)
	if !l.searches(o, root, dir) {
		return false
	}
	if access == learn.Makes {
		return o.mayAt(root, dir, 3)
	}
	var st unix.Stat_t
	switch {
	case access == learn.Opens:
		return o.mayAt(root, name, 4)
	case access == learn.Writes && statIn(root, name, &st) && st.Mode&unix.S_IFMT == unix.S_IFREG:
		return o.may(st.Mode, st.Uid, st.Gid, 2)
	}
	return true
}

// searches says whether the directory, and all over it, may be searched. What once could be
// is not looked at again.
func (l *Listener) searches(o owner, root int, dir string) bool {
	k := reached{dir, o.uid, o.groups[0]}
	if dir == "/" || dir == "." || l.learner.reached[k] {
		return true
	}
	if !l.searches(o, root, path.Dir(dir)) || !o.mayAt(root, dir, 1) {
		return false
	}
	if len(l.learner.reached) < maxFiles {
		l.learner.reached[k] = true
	}
	return true
}

// mayAt is may for what is at the path below the root; nothing there keeps nobody out.
func (o owner) mayAt(root int, name string, bits uint32) bool {
	var st unix.Stat_t
	return !statIn(root, name, &st) || o.may(st.Mode, st.Uid, st.Gid, bits)
}

// statIn looks at a path below the root, by O_PATH.
func statIn(root int, name string, st *unix.Stat_t) bool {
	fd, err := unix.Openat2(root, strings.TrimPrefix(name, "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Fstat(fd, st) == nil
}
