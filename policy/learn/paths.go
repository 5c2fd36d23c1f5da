package learn

import (
	"path"
	"slices"
	"strings"

	"sbx/policy"
)

// wants are paths that a policy lacks, by what it would have to make of them.
type wants struct {
	*ground
	tree  *policy.Tree
	files *policy.Files

	read, change map[string]By // of the host
	private      map[string]By // directories of the sandbox's own that are writable
	empty        map[string]By // directories that have to be there
	project      map[string]By // guarded paths of the project that were written
	left         map[string]By // what no policy should allow because of a run

	readsDir, writesDir bool // the project, in any way

	// listed are containers that were listed, opened the files that were read.
	listed, opened map[string]bool
}

func newWants(g *ground, p *policy.Policy, seen []File) *wants {
	w := &wants{ground: g, tree: p.Tree(), files: &p.Files, listed: map[string]bool{}, opened: map[string]bool{}}
	for _, f := range seen {
		if f.Access != Opens {
			continue
		}
		if g.container(f.Path) && g.at(f.Path).Kind == Directory {
			w.listed[f.Path] = true
		}
		w.opened[f.Path] = true
	}
	for _, m := range []*map[string]By{&w.read, &w.change, &w.private, &w.empty, &w.project, &w.left} {
		*m = map[string]By{}
	}
	return w
}

func add(m map[string]By, name string, by By) {
	have, ok := m[name]
	if !ok {
		m[name] = by
		return
	}
	have.Count += by.Count
	m[name] = have
}

// file notes what the policy lacks for the file.
func (w *wants) file(f File) {
	if w.scratch(f.Path, f) {
		return
	}
	real, hops := w.ground.real(f.Path)
	if w.scratch(real, f) {
		return
	}
	if w.dir != "" && policy.Within(real, w.dir) {
		w.readsDir = true
		w.writesDir = w.writesDir || f.Access >= Writes && w.at(real).Kind != Directory
	}
	for _, hop := range hops {
		w.looks(hop, f.By)
	}
	switch {
	case f.Access == Opens:
		w.opens(real, f.By)
	case f.Access == Looks || w.at(real).Kind == Directory:
		// A directory that is made is there, whoever may write to it.
		w.looks(real, f.By)
	default:
		w.writes(real, f)
	}
}

// scratch notes what a temporary file takes, and says whether the path is one.
func (w *wants) scratch(name string, f File) bool {
	dir := w.temporary(name)
	if dir != "" && f.Access >= Writes && w.tree.At(name).Kind != policy.KindTmpfs {
		add(w.private, dir, f.By)
	}
	return dir != ""
}

// missing says that the policy does not show what the host has at the path, although it
// would matter to who has read it or only looked for it.
func (w *wants) missing(name string, by By, read bool) bool {
	i, e := w.at(name), w.tree.At(name)
	switch {
	case i.Kind == Missing, w.outside(name), e.Kind.FromHost() && !w.tree.Covers(name), e.Name == name:
		return false
	case w.harmless(name, read), i.Kind == SocketFile:
		return false
	case w.secret(name) || w.hiddenName(name):
		add(w.left, name, by)
		return false
	}
	return true
}

// opens is a file that was read, or a directory that was listed.
func (w *wants) opens(name string, by By) {
	switch {
	case !w.missing(name, by, true):
	case w.at(name).Kind == Directory && w.container(name):
		add(w.empty, name, by)
	default:
		add(w.read, name, by)
	}
}

// looks is a path of which the program only asked what it is.
func (w *wants) looks(name string, by By) {
	switch {
	case w.listed[path.Dir(name)] && !w.opened[name]:
		// It was found by listing the directory. Who does not find it does not look at it.
	case !w.missing(name, by, false):
	case w.at(name).Kind != Directory:
		add(w.read, name, by)
	case !slices.ContainsFunc(w.tree.Entries, func(e policy.Entry) bool { return policy.Within(e.Name, name) }):
		add(w.empty, name, by)
	}
}

// outside says that no list of files is about the path: it is the kernel's or one of the
// sandbox's own.
func (w *wants) outside(name string) bool {
	for _, dir := range [...]string{"/proc", "/sys", "/dev"} {
		if policy.Within(name, dir) {
			return true
		}
	}
	return name == "/"
}

// hiddenName says that the policy hides files of the name in a project.
func (w *wants) hiddenName(name string) bool {
	base := path.Base(name)
	matches := func(pattern string) bool {
		pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "?"), "**/")
		match, err := path.Match(pattern, base)
		return err == nil && match && !strings.Contains(pattern, "/")
	}
	return slices.ContainsFunc(w.files.Hide, matches) && !slices.ContainsFunc(w.files.Unhide, matches)
}

func (w *wants) writes(name string, f File) {
	i, e := w.at(name), w.tree.At(name)
	switch {
	case w.outside(name):
		return
	case w.tree.Covers(name), w.secret(name):
		add(w.left, name, f.By)
		return
	case e.Kind == policy.KindWrite:
		if guard := w.guarded(name); guard != "" {
			add(w.project, guard, f.By)
		}
		return
	case e.Kind == policy.KindOverlay:
		return
	case e.Kind == policy.KindTmpfs && w.privately(name, e, f.By):
		return
	case w.dir != "" && policy.Within(name, w.dir):
		add(w.change, w.dir, f.By)
		return
	}
	switch dir := w.existing(path.Dir(name)); {
	case dir == "/" || policy.Within(dir, "/usr"):
		add(w.left, name, f.By)
	case slices.Contains([]string{"/run", "/var/run", "/tmp", "/var/tmp", "/run/lock"}, dir):
		add(w.private, dir, f.By)
	case !w.container(dir):
		add(w.change, dir, f.By)
	case i.Kind == Missing && dir != "/etc":
		add(w.private, dir, f.By)
	default: // it belongs to everybody
		add(w.left, name, f.By)
	}
}

// privately notes what it takes to write to the path in a tmpfs, where there is nothing of
// the host's. It is false where the host's files should be there.
func (w *wants) privately(name string, e policy.Entry, by By) bool {
	dir := w.existing(path.Dir(name))
	if !policy.Within(dir, e.Name) || dir == e.Name {
		return true
	}
	if !w.container(dir) {
		return false
	}
	add(w.empty, dir, by) // programs expect it to be there
	return true
}

// existing is the directory, or the nearest one over it that the host has.
func (w *wants) existing(dir string) string {
	for dir != "/" && w.at(dir).Kind != Directory {
		dir = path.Dir(dir)
	}
	return dir
}

// guarded is the path that the policy guards at or over one in the project, or "".
func (w *wants) guarded(name string) string {
	rest, ok := strings.CutPrefix(name, w.dir+"/")
	if w.dir == "" || !ok {
		return ""
	}
	at, found := w.dir, ""
	for depth, part := range strings.Split(rest, "/") {
		at = path.Join(at, part)
		i := w.at(at)
		if i.Kind == Missing {
			return found // nothing that is made is guarded
		}
		if e, ok := w.tree.Get(at); ok && e.Kind == policy.KindWrite {
			found = "" // the policy opens it
			continue
		}
		if matchesName(w.files.Unguard, part, 0, i.Kind == Directory, true) {
			return found
		}
		if found == "" && matchesName(w.files.Guard, part, depth, i.Kind == Directory, false) &&
			!matchesName(w.files.Unguard, part, 0, i.Kind == Directory, false) {
			found = at
		}
	}
	return found
}

// matchesName says whether a list of names, as patterns, has the name. within asks for the
// entries that exempt a directory with all in it.
func matchesName(list []string, name string, depth int, dir, within bool) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		pattern, deep := strings.CutPrefix(s, "**/")
		pattern, dirs := strings.CutSuffix(pattern, "/")
		if depth > 0 && !deep || dirs && !dir || within && !dirs {
			return false
		}
		match, err := path.Match(pattern, name)
		return err == nil && match
	})
}
