package host

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
)

// A launch is not alone. What ran before in a sandbox could choose the names in
// all that it was allowed to write, and so could other users in what is theirs.
// A symbolic link that one of them has made must not decide what a later launch
// shows, hides, or writes to. So every path that sbx takes from the host is
// opened by the walker and judged here, and a path that went through such a link
// is an error, unless whoever uses it knows better.

// zone is a directory in which a target may have written.
type zone struct {
	real string
	id   ns.ID
	why  string
}

// LinkError is a symbolic link that is not followed, because of the users or
// programs that could have made it.
type LinkError struct {
	// Link is the path of the link, and To what it says.
	Link, To string
	// Why it is not trusted.
	Why string
	// Inside says that it lies where a program in a sandbox can have made it.
	Inside bool
	// File is what the path led to, for a caller that follows it only to restrict
	// something there.
	File File
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("the symbolic link %s to %s is not followed: %s", text.Quote(e.Link), text.Quote(e.To), e.Why)
}

// Unwrap gives the reason.
func (e *LinkError) Unwrap() error { return Untrusted }

// Hint is what to do about it.
func (e *LinkError) Hint() string {
	return "see where it leads, and if that is meant, name it: " + text.Quote(e.File.Real)
}

// look opens a path and describes what it is. A path through a link that cannot
// be trusted is a *LinkError.
func (h *Facts) look(s string) File {
	o, err := h.walk.open(s)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP:
		// Links that lead to one another lead nowhere, and whoever may write here
		// can leave some: nothing is there.
		return File{}
	case err != nil:
		return File{Err: err, Closed: err == unix.EACCES && h.closed(s)}
	}
	h.fds = append(h.fds, o.fd)
	f := describe(o)
	if len(o.links) == 0 {
		return f
	}
	if h.links == nil {
		h.links = make(map[string][]link)
	}
	h.links[s] = o.links
	return h.judge(f, o.links)
}

// closed says whether a path leads through a directory that denies the caller the
// search, and that he may not open up. With a link on the way it does not know.
func (h *Facts) closed(name string) bool {
	for name != "/" {
		dir := path.Dir(name)
		if o, err := h.walk.open(dir); err == nil {
			defer unix.Close(o.fd)
			how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC}
			fd, err := unix.Openat2(o.fd, path.Base(name), &how)
			if err == nil {
				unix.Close(fd)
			}
			return err == unix.EACCES && len(o.links) == 0 && int(o.st.Uid) != h.UID
		}
		name = dir
	}
	return false
}

// openLast opens a path by O_PATH whose last part may be one of the kernel's
// links of /proc, which lead to what has no path.
func (h *Facts) openLast(name string) (int, error) {
	dir := h.look(path.Dir(name))
	switch {
	case dir.Err != nil:
		return -1, dir.Err
	case dir.Mode == 0:
		return -1, unix.ENOENT
	case strings.HasPrefix(dir.Real, "/proc/"):
		return unix.Openat(dir.FD, path.Base(name), unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	f := h.look(name)
	switch {
	case f.Err != nil:
		return -1, f.Err
	case f.Mode == 0:
		return -1, unix.ENOENT
	}
	return unix.FcntlInt(uintptr(f.FD), unix.F_DUPFD_CLOEXEC, 3)
}

func describe(o opened) File {
	return File{
		Real: o.real, Link: o.text, FD: o.fd, Mode: o.st.Mode & unix.S_IFMT,
		Major: unix.Major(o.st.Dev), Minor: unix.Minor(o.st.Dev), Ino: o.st.Ino, Rdev: o.st.Rdev,
		UID: o.st.Uid, GID: o.st.Gid, Perm: o.st.Mode & 0o777, Links: uint64(o.st.Nlink),
		Covered: covered(o.fd, &o.st),
	}
}

// judge is the file, or an error in its place if one of the links that led to it
// is not to be trusted.
func (h *Facts) judge(f File, links []link) File {
	for i := range links {
		if why, inside := h.distrust(&links[i]); why != "" {
			return File{Err: &LinkError{Link: links[i].name, To: links[i].to, Why: why, Inside: inside, File: f}}
		}
	}
	for _, l := range links {
		if f.Via == "" && !l.magic && int(l.uid) == h.UID {
			f.Via = l.name
		}
	}
	return f
}

// distrust is why another user than root and the caller, or with inside the target of
// an earlier launch, could have chosen where the link leads. It is "" if that is
// impossible: a target can make nothing where the caller cannot.
func (h *Facts) distrust(l *link) (why string, inside bool) {
	h.addRepositories(l.dir.real)
	for _, z := range h.zones {
		if l.dir.below(z.real, z.id) && !h.barred(l.dir.real) {
			return z.why, true
		}
	}
	return h.foreign(l), false
}

// foreign is why another user can have chosen where the link leads.
func (h *Facts) foreign(l *link) string {
	dir := &l.dir.st
	switch {
	case l.magic && !h.trusted(l.uid):
		return fmt.Sprintf("the process belongs to user %d, not to you or root", l.uid)
	case l.magic:
		return ""
	case !h.trusted(l.uid):
		return fmt.Sprintf("it belongs to user %d, not to you or root", l.uid)
	case !h.trusted(dir.Uid):
		return fmt.Sprintf("its directory belongs to user %d, not to you or root", dir.Uid)
	case dir.Mode&0o022 != 0 && dir.Mode&unix.S_ISVTX == 0 && !h.groupOfOne(dir):
		return fmt.Sprintf("others can write to its directory (mode %04o)", dir.Mode&0o7777)
	}
	return ""
}

// groupOfOne says whether a directory can be written by its group only, and that
// is the caller's alone: many systems give each user a group of the same number
// and let it write (umask 002).
func (h *Facts) groupOfOne(dir *unix.Stat_t) bool {
	return dir.Mode&0o002 == 0 && int(dir.Gid) == h.GID && h.GID == h.UID && int(dir.Uid) == h.UID
}

// trusted says whether the user is root or the caller. In a user namespace that
// does not map root, the system's files have the owner of the root directory.
func (h *Facts) trusted(uid uint32) bool {
	const overflow = 65534 // user_namespaces(7), /proc/sys/kernel/overflowuid
	if uid == 0 || int(uid) == h.UID {
		return true
	}
	if uid != overflow {
		return false
	}
	var root unix.Stat_t
	if unix.Stat("/", &root) != nil || root.Uid != overflow {
		return false
	}
	ids, err := sys.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(ids)
	return err == nil && !(len(fields) == 3 && fields[0] == "0" && fields[2] == "4294967295")
}

// findZones sets in which directories the links are not to be trusted: what the
// policy lets the target write, and the project, in which another role lets it.
// Where all of the host may be written nothing is gained by a link.
func (h *Facts) findZones(tree *policy.Tree, t Target) {
	add := func(real string, id ns.ID, why string) {
		if real != "" && real != "/" && !slices.ContainsFunc(h.zones, func(z zone) bool { return z.real == real }) {
			h.zones = append(h.zones, zone{real, id, why})
		}
	}
	type written struct {
		name string
		what string
	}
	var list []written
	for _, e := range tree.Entries {
		switch e.Kind {
		case policy.KindWrite:
			list = append(list, written{e.Source(), "it lies in %s, where the program may write"})
		case policy.KindOverlay:
			list = append(list, written{e.Options.Upper, "it lies in %s, where the program's changes are kept"})
		}
	}
	for _, x := range list {
		h.lookOnce(x.name)
		f := led(h.Files[x.name])
		if f.Mode != 0 {
			add(f.Real, f.ID(), fmt.Sprintf(x.what, text.Quote(f.Real)))
		}
	}
	for _, dir := range [...]string{t.Project, t.CallerProject} {
		add(dir, h.Files[dir].ID(), inProject(dir))
		if dir != "" {
			h.inside = append(h.inside, dir)
		}
	}
	h.home = t.Home
	// One of them may lead through another.
	for _, x := range list {
		if links := h.links[x.name]; len(links) > 0 {
			h.Files[x.name] = h.judge(led(h.Files[x.name]), links)
		}
	}
}

// Place is a directory that a flag or the environment names and that sbx has to
// know before the policy: the home, and where to start. Follow makes it, and
// Probe judges the links on the way.
type Place struct {
	what, real string
	links      []link
}

// Path is the place without symbolic links.
func (p Place) Path() string { return p.real }

// Follow opens the directory of that absolute path and says where it is. what
// says in an error what it is for.
func Follow(what, name string) (Place, error) {
	var w walker
	defer w.close()
	o, err := w.open(name)
	if err != nil {
		return Place{}, err
	}
	unix.Close(o.fd) // opened with O_PATH
	return Place{what, o.real, o.links}, nil
}

// judgePlaces refuses what Follow came to by links of others.
func (h *Facts) judgePlaces(_ *policy.Policy, _ *policy.Tree, t Target) error {
	for _, p := range t.Places {
		if f := h.judge(File{Real: p.real}, p.links); f.Err != nil {
			return fmt.Errorf("%s: %w", p.what, f.Err)
		}
	}
	return nil
}

func inProject(dir string) string {
	return fmt.Sprintf("it lies in the project %s, where a program of an earlier run may have written", text.Quote(dir))
}

// addRepositories takes a repository that a project lies in for the project as well:
// an earlier run may have been started at its top. Most launches meet no link near a
// project, and never ask.
func (h *Facts) addRepositories(linkDir string) {
	near := func(project string) bool {
		top, _, _ := strings.Cut(project[1:], "/")
		return policy.Within(linkDir, "/"+top)
	}
	if !slices.ContainsFunc(h.inside, near) {
		return
	}
	for _, project := range h.inside {
		for dir := project; policy.ProjectDir(dir, h.home) != ""; dir = path.Dir(dir) {
			if len(repositoryMarks(dir)) > 0 {
				h.zones = append(h.zones, zone{dir, ns.ID{}, inProject(dir)})
				break
			}
		}
	}
	h.inside = nil
}

// led is what the path led to, whoever made the links.
func led(f File) File {
	if e, ok := f.Err.(*LinkError); ok {
		return e.File
	}
	return f
}
