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
	// trees are the names of directories in which nothing is guarded.
	trees []pattern
	// deepEnds and topEnds say quickly of nearly all names that no pattern means them.
	deepEnds, topEnds ends
	// held are the directories, relative to the project, that are guarded with
	// all below them.
	held map[string]bool
	// open are those that the policy names as writable: what is in them can change.
	open []string
	// names are the guarded names by their real path, with what was found there;
	// list is what of them is no link, and what links lead to.
	names map[string]guarded
	list  []Found
	// links lie in what is guarded, repos are .git and the like: to be followed.
	links, repos []string
	// bare says that the project itself had the shape of a repository.
	bare bool
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

// Guard are the patterns of a policy's guard and unguard.
type Guard struct{ guarding }

// NewGuard reads the patterns.
func NewGuard(guard, unguard []string) *Guard {
	return &Guard{newGuarding(&policy.Files{Guard: guard, Unguard: unguard}, "/")}
}

// Guards says whether they mean the path, which is relative to the project, and whether it
// lies in a directory in which nothing is guarded.
func (g *Guard) Guards(rel string, dir bool) (guarded, free bool) {
	kind := uint8(unix.DT_REG)
	if dir {
		kind = unix.DT_DIR
	}
	at, name := path.Split(rel)
	for part := range strings.SplitSeq(at, "/") {
		if anyMatches(g.trees, part) {
			return false, true
		}
	}
	return g.guards(name, kind, at == ""), false
}

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
			g.deepEnds.add(&p.pattern)
		} else {
			g.top = append(g.top, p)
			g.topEnds.add(&p.pattern)
		}
	}
	for _, s := range f.Unguard {
		p, _ := newGuardPattern(s)
		g.except = append(g.except, p)
		if p.dir {
			g.trees = append(g.trees, p.pattern)
		}
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

// mayGuard says by the ends of the name whether a pattern may mean it.
func (g *guarding) mayGuard(name []byte, top bool) bool {
	return g.deepEnds.may(name) || top && g.topEnds.may(name)
}

// guards says whether the policy guards the name in that directory. What is a
// link may lead to a directory.
func (g *guarding) guards(name string, kind uint8, top bool) bool {
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

// part is what of a repository the entry is, or 0.
func part(e rawEntry) uint8 {
	switch {
	case len(e.name) < len("HEAD") || len(e.name) > len("commondir"):
	case string(e.name) == "HEAD":
		return hasHead
	case string(e.name) == "commondir": // which says where the others are
		return hasObjects | hasRefs
	case e.kind == unix.DT_REG:
	case string(e.name) == "objects":
		return hasObjects
	case string(e.name) == "refs":
		return hasRefs
	}
	return 0
}

// take takes in what was found in a directory.
func (g *guarding) take(dir string, d *scanned) {
	if d.look&forGuarded == 0 {
		return
	}
	if d.look&asHeld != 0 {
		g.links = append(g.links, d.links...)
		return // nothing comes to be in what is held
	}
	g.dirs = append(g.dirs, seenDir{d.rel, d.id, d.ctim})
	g.bare = g.bare || d.rel == "." && d.shape == isRepo
	for i := range d.marks {
		g.takeMark(dir, d.rel, &d.marks[i])
	}
	// It may have turned out to be a repository without a work tree, in which git obeys
	// what lies there.
	if d.shape == isRepo && d.rel != "." {
		g.add(d.rel, Found{Path: path.Join(dir, d.rel), Dir: true, ID: d.id})
		g.repos = append(g.repos, d.rel)
	}
}

// takeMark takes in what is at a guarded name. What is hidden needs no guard, but was
// there.
func (g *guarding) takeMark(dir, rel string, m *mark) {
	at := path.Join(rel, m.name)
	if _, ok := policy.RepositoryMark(m.name); ok {
		g.repos = append(g.repos, at)
	}
	switch real := path.Join(dir, at); {
	case m.st.Mode&unix.S_IFMT == unix.S_IFLNK:
		g.name(real, guarded{identity(&m.st), m.st.Ctim})
		g.links = append(g.links, at)
		if slices.Contains(g.repos, at) {
			g.loose = append(g.loose, real)
		}
	case m.hidden:
		g.name(real, guarded{id: identity(&m.st)})
	default:
		g.add(at, guardedFile(real, &m.st))
	}
}

func guardedFile(real string, st *unix.Stat_t) Found {
	return Found{Path: real, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, ID: identity(st), Links: uint64(st.Nlink)}
}

// name remembers what is at a guarded name.
func (g *guarding) name(real string, what guarded) {
	if g.names == nil {
		g.names = make(map[string]guarded)
	}
	g.names[real] = what
}

// add guards what was found, which is rel in the project. It says whether it was not
// guarded before.
func (g *guarding) add(rel string, found Found) bool {
	if rel == "." || g.inHeld(rel) {
		return false
	}
	if have, ok := g.names[found.Path]; ok && have.id == found.ID {
		return false
	}
	g.name(found.Path, guarded{id: found.ID})
	g.list = append(g.list, found)
	if found.Dir && !slices.Contains(g.open, rel) {
		if g.held == nil {
			g.held = make(map[string]bool)
		}
		g.held[rel] = true
	}
	return true
}
