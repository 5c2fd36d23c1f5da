package host

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
)

// guarding is the part of a search that is about what other programs run or
// obey by themselves, in a project that the target may write: the names of the
// policy's guard, and repositories, by name and by shape.
type guarding struct {
	on bool
	// top are the patterns for the project's own directory, deep those for
	// any depth; except are the exceptions from those with a star.
	top, deep []guardPattern
	except    []guardPattern
	// held are the directories, relative to the project, that are guarded with
	// all below them. now says that the search is in one of them.
	held map[string]bool
	now  bool
	// open are those that the policy names as writable: what is in them can change.
	open []string
	// shape are the parts of a repository that the directory at hand has.
	shape uint8
	// names are the guarded names by their real path, with what was found there;
	// list is what of them is no link, and what links lead to.
	names map[string]guarded
	list  []Found
	// links lie in what is guarded, repos are .git and the like: to be followed.
	links, repos []string
	// loose are repositories that are links, by their whole path.
	loose []string
	// dirs are the directories that were read, with their times.
	dirs []seenDir
}

// seenDir is a directory when it was read: no name comes to be in it, or goes,
// without its change time.
type seenDir struct {
	rel  string
	id   ns.ID
	ctim unix.Timespec
}

// guarded is what was found at a guarded name; the zero value: nothing.
type guarded struct {
	id ns.ID
	// link is the change time of a link, which nothing holds: another file can
	// have its number later.
	link unix.Timespec
}

// guardPattern is a pattern of guard or unguard.
type guardPattern struct {
	pattern
	dir, star bool
}

// The parts of a repository; see is_git_directory in git's setup.c.
const (
	hasHead = 1 << iota
	hasObjects
	hasRefs
	isRepo = hasHead | hasObjects | hasRefs
)

// newGuarding is for the project in dir.
func newGuarding(f *policy.Files, dir string) (g guarding) {
	for _, s := range f.Write {
		if rel, ok := strings.CutPrefix(policy.ParsePath(s).Name, dir+"/"); ok {
			g.open = append(g.open, rel)
		}
	}
	for _, s := range f.Guard {
		p, deep := newGuardPattern(s)
		if deep {
			g.deep = append(g.deep, p)
		} else {
			g.top = append(g.top, p)
		}
	}
	for _, s := range f.Unguard {
		p, _ := newGuardPattern(s)
		g.except = append(g.except, p)
	}
	g.on = len(g.top)+len(g.deep) > 0
	return g
}

func newGuardPattern(s string) (p guardPattern, deep bool) {
	name, deep := strings.CutPrefix(s, "**/")
	name, p.dir = strings.CutSuffix(name, "/")
	p.pattern, p.star = newPattern(name), strings.ContainsAny(name, `*?[\`)
	return p, deep
}

// guards says whether the policy guards the name in that directory. What is a
// link may lead to a directory.
func (g *guarding) guards(name string, kind uint8, top bool) bool {
	if !top && !g.deepMatches(name) { // nearly all files
		return false
	}
	match := func(list []guardPattern, star bool) bool {
		for i := range list {
			p := &list[i]
			if p.star == star && (!p.dir || kind == unix.DT_DIR || kind == unix.DT_LNK) && p.matches(name) {
				return true
			}
		}
		return false
	}
	if match(g.deep, false) || top && match(g.top, false) {
		return true
	}
	return (match(g.deep, true) || top && match(g.top, true)) && !match(g.except, false) && !match(g.except, true)
}

func (g *guarding) deepMatches(name string) bool {
	for i := range g.deep {
		if g.deep[i].matches(name) {
			return true
		}
	}
	return false
}

// enter begins with a directory.
func (g *guarding) enter(rel string, st *unix.Stat_t) {
	g.now, g.shape = g.inHeld(rel), 0
	if !g.now { // nothing comes to be in what is held
		g.dirs = append(g.dirs, seenDir{rel, identity(st), st.Ctim})
	}
}

// leave ends with it: it may have turned out to be a repository without a work
// tree, in which git obeys what lies there.
func (g *guarding) leave(dir, rel string, st *unix.Stat_t) {
	if g.shape == isRepo && !g.now && rel != "." {
		g.add(path.Join(dir, rel), rel, st)
		g.repos = append(g.repos, rel)
	}
}

// inHeld says whether the directory is guarded, or lies in one that is.
func (g *guarding) inHeld(rel string) bool {
	for len(g.held) > 0 && rel != "." {
		if g.held[rel] {
			return true
		}
		rel = path.Dir(rel)
	}
	return false
}

// seePart takes in whether the entry is a part of a repository.
func (g *guarding) seePart(e entry) {
	switch {
	case e.name == "HEAD":
		g.shape |= hasHead
	case e.kind == unix.DT_REG:
	case e.name == "objects":
		g.shape |= hasObjects
	case e.name == "refs":
		g.shape |= hasRefs
	}
}

// visit looks at one entry of the directory fd, which is rel below dir. What is
// hidden needs no guard, but was there.
func (g *guarding) visit(fd int, dir, rel string, e entry, hidden bool) error {
	if g.now {
		if e.kind == unix.DT_LNK {
			g.links = append(g.links, path.Join(rel, e.name))
		}
		return nil
	}
	g.seePart(e)
	if !g.guards(e.name, e.kind, rel == ".") {
		return nil
	}
	var st unix.Stat_t
	if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || uint8(st.Mode&unix.S_IFMT>>12) != e.kind {
		return errMoved
	}
	at := path.Join(rel, e.name)
	if e.name == ".git" || rel == "." && (e.name == ".hg" || e.name == ".jj") {
		g.repos = append(g.repos, at)
	}
	if e.kind == unix.DT_LNK {
		g.name(path.Join(dir, at), guarded{identity(&st), st.Ctim})
		g.links = append(g.links, at)
		if slices.Contains(g.repos, at) {
			g.loose = append(g.loose, path.Join(dir, at))
		}
		return nil
	}
	if hidden {
		g.name(path.Join(dir, at), guarded{id: identity(&st)})
		return nil
	}
	g.add(path.Join(dir, at), at, &st)
	return nil
}

// name remembers what is at a guarded name.
func (g *guarding) name(real string, what guarded) {
	if g.names == nil {
		g.names = make(map[string]guarded)
	}
	g.names[real] = what
}

// add guards what is at the real path, which is rel in the project. It says
// whether it was not guarded before.
func (g *guarding) add(real, rel string, st *unix.Stat_t) bool {
	if rel == "." || g.inHeld(rel) {
		return false
	}
	if have, ok := g.names[real]; ok && have.id == identity(st) {
		return false
	}
	found := Found{Path: real, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, ID: identity(st), Links: uint64(st.Nlink)}
	g.name(real, guarded{id: found.ID})
	g.list = append(g.list, found)
	if found.Dir && !slices.Contains(g.open, rel) {
		if g.held == nil {
			g.held = make(map[string]bool)
		}
		g.held[rel] = true
	}
	return true
}
