package host

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
)

// SearchPath is where programs are looked for if there is no PATH.
const SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Program is what a directory of PATH has under a name.
type Program struct {
	// Dir is the directory, as it stands in PATH.
	Dir string
	// Path is the program's.
	Path string
	// Own says that it is sbx itself under another name.
	Own bool
	// Why says who else than the caller and root can have put it there; "" if nobody can.
	Why string
}

// Chooser says where a program of an earlier run can have written.
type Chooser struct {
	// UID and GID are the caller's.
	UID, GID int
	// Home is the caller's, without links, and Account that of the password file.
	Home, Account string
	// Project is the directory that the caller stands in as a project, or "".
	Project string
	// Writes are paths that the program may write, as files.write has them.
	Writes []string
}

// Programs are the programs of that name in the directories of search, which is PATH, in
// order. Of these a shell would run the first. Relative directories are left out: what is
// in them depends on where the caller stands.
func (c Chooser) Programs(name, search string) (list []Program) {
	h := c.facts(search)
	defer h.Close()
	var own unix.Stat_t // stays empty where there is no /proc
	self, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(self)
		err = unix.Fstat(self, &own)
	}
	isOwn := func(o *opened) bool {
		return path.Base(o.real) == "sbx" || err == nil && (identity(&o.st) == identity(&own) ||
			o.st.Size == own.Size && sameBytes(self, o.fd))
	}
	for dir := range strings.SplitSeq(search, ":") {
		if !path.IsAbs(dir) {
			continue
		}
		p := Program{Dir: dir, Path: path.Join(dir, name)}
		o, err := h.walk.open(p.Path)
		if err != nil {
			continue
		}
		runs := o.st.Mode&unix.S_IFMT == unix.S_IFREG &&
			unix.Faccessat(unix.AT_FDCWD, p.Path, unix.X_OK, unix.AT_EACCESS) == nil
		p.Own = runs && isOwn(&o)
		unix.Close(o.fd) // opened with O_PATH
		if !runs {
			continue
		}
		if !p.Own {
			p.Why = h.plantedProgram(dir, &o)
		}
		list = append(list, p)
	}
	return list
}

// sameBytes says whether a regular file, opened with O_PATH, is a copy of another one.
func sameBytes(self, other int) bool {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(other), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var a, b [64 << 10]byte
	for at := int64(0); ; {
		n, err := unix.Pread(self, a[:], at)
		if err != nil {
			return false
		}
		if n == 0 {
			return true
		}
		m, err := unix.Pread(fd, b[:n], at)
		if err != nil || m == 0 || !bytes.Equal(a[:m], b[:m]) {
			return false
		}
		at += int64(m)
	}
}

// Dir says who else than the caller and root can write to a directory, or to one above it:
// another user, or a program of an earlier run. It is "" if nobody can. search is PATH.
func (c Chooser) Dir(dir, search string) string {
	h := c.facts(search)
	defer h.Close()
	o, err := h.walk.open(dir)
	if err != nil {
		return err.Error()
	}
	unix.Close(o.fd) // opened with O_PATH
	for i := range o.links {
		if why := h.plantedLink(&o.links[i]); why != "" {
			return why
		}
	}
	return h.plantedIn(o.real)
}

// facts are what the walk and the rules for links need, for the directories of search.
func (c Chooser) facts(search string) *Facts {
	h := &Facts{UID: c.UID, GID: c.GID, home: c.Home, account: c.Account}
	c.addZones(h)
	for dir := range strings.SplitSeq(search, ":") {
		if !path.IsAbs(dir) {
			continue
		}
		if o, err := h.walk.open(dir); err == nil {
			unix.Close(o.fd) // opened with O_PATH
			h.searched = append(h.searched, identity(&o.st))
		}
	}
	return h
}

// addZones adds where a program of an earlier run can have written, as findZones does it
// for links. Where all of the host may be written, nothing is gained by a program.
func (c Chooser) addZones(h *Facts) {
	add := func(name, why string) {
		o, err := h.walk.open(name)
		if err != nil {
			return
		}
		unix.Close(o.fd) // opened with O_PATH
		if o.real != "/" {
			h.zones = append(h.zones, zone{o.real, identity(&o.st), fmt.Sprintf(why, text.Quote(o.real))})
		}
	}
	if c.Project != "" {
		add(c.Project, "it lies in the project %s, where a program of an earlier run may have written")
		h.inside = append(h.inside, c.Project)
	}
	for _, s := range c.Writes {
		if name := policy.ParsePath(s).Name; path.IsAbs(name) {
			add(name, "it lies in %s, where the program may write")
		}
	}
}

// plantedProgram says who can have put a program there: by a link on the way, or in the
// directories that the program itself and its name in PATH lie in.
func (h *Facts) plantedProgram(dir string, o *opened) string {
	for i := range o.links {
		if why := h.plantedLink(&o.links[i]); why != "" {
			return why
		}
	}
	if why := h.plantedIn(path.Dir(o.real)); why != "" {
		return why
	}
	at, err := h.walk.open(dir)
	if err != nil {
		return err.Error()
	}
	unix.Close(at.fd) // opened with O_PATH
	if why := h.plantedIn(at.real); why != "" {
		return why
	}
	return h.others("it", &o.st)
}

// plantedLink says who can have made the link.
func (h *Facts) plantedLink(l *link) string {
	why := h.plantedIn(l.dir.real)
	switch {
	case l.magic:
		why = "it is a process's own"
	case why == "" && !h.trusted(l.uid):
		why = fmt.Sprintf("it belongs to user %d, not to you or root", l.uid)
	}
	if why != "" {
		return fmt.Sprintf("it leads through the symbolic link %s: %s", text.Quote(l.name), why)
	}
	return ""
}

// plantedIn says who can have put a name into the directory of that real path.
func (h *Facts) plantedIn(real string) string {
	d, err := h.walk.directory(real)
	if err != nil {
		return err.Error()
	}
	h.addRepositories(real)
	for _, z := range h.zones {
		if d.below(z.real, z.id) {
			return z.why
		}
	}
	writable, why := false, ""
	for at := d; at != nil; at = at.up {
		// In a directory such as /tmp others can add names, but change none of them.
		sticky := at != d && at.st.Uid == 0 && at.st.Mode&unix.S_ISVTX != 0
		if !sticky {
			if why := h.others(text.Quote(at.real), &at.st); why != "" {
				return why
			}
		}
		if repository(at.real, h.home, h.account) {
			return "it lies in the repository " + text.Quote(at.real) +
				", where a program of an earlier run may have written"
		}
		// No role takes a directory of PATH itself for a project: cmd/sbx sees to that.
		writable = writable || h.UID == 0 || int(at.st.Uid) == h.UID || unix.Access(at.real, unix.W_OK) == nil
		if why == "" && writable && policy.Workplace(at.real, h.home, h.account) &&
			!slices.Contains(h.searched, identity(&at.st)) {
			why = "it lies in " + text.Quote(at.real) +
				", which can be a project: a program of an earlier run may have written there"
		}
	}
	return why
}

// others says which other user can write to a file or directory. A group of root's is one
// that the machine's administrator has chosen.
func (h *Facts) others(what string, st *unix.Stat_t) string {
	switch {
	case !h.trusted(st.Uid):
		return fmt.Sprintf("%s belongs to user %d, not to you or root", what, st.Uid)
	case st.Mode&0o002 != 0, st.Mode&0o020 != 0 && st.Uid != 0 && !h.groupOfOne(st):
		return fmt.Sprintf("others can write to %s (mode %04o)", what, st.Mode&0o7777)
	}
	return ""
}

// repository says whether the directory is a repository in which somebody may work.
func repository(dir string, homes ...string) bool {
	return policy.Workplace(dir, homes...) && len(repositoryMarks(dir)) > 0
}
