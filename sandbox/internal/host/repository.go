package host

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// Repository is what git needs of a repository that a project belongs to and that
// lies outside of it: the project is a directory within a work tree, another work
// tree (git-worktree(1)) or a submodule.
type Repository struct {
	// Top is the work tree that the project is a directory of; empty: it has a .git of
	// its own.
	Top string
	// Show are the directories of git's own that are outside.
	Show []string
	// Settings are those files of settings in them that hold credentials, without
	// these.
	Settings map[string]string
	// Hide is what else in them looks like credentials.
	Hide []string
}

// FindRepository finds it, for a project of a caller with that home. Whoever could
// write to the project in an earlier run can have left a .git there that names any
// directory. So one outside counts only if it says itself that it belongs to the
// project.
func FindRepository(project, home string) (r Repository) {
	var w walker
	defer w.close()
	top := project
	kind := w.kind(top + "/.git")
	for kind == 0 {
		if top = path.Dir(top); policy.ProjectDir(top, home) == "" {
			return r
		}
		kind = w.kind(top + "/.git")
	}
	git := top + "/.git"
	switch {
	case kind == unix.S_IFDIR && top == project:
		return r
	case kind == unix.S_IFDIR:
		if w.text(git+"/commondir") != "" || w.kind(git+"/HEAD") != unix.S_IFREG {
			return r
		}
		r.Show = []string{git}
	case kind == unix.S_IFREG:
		r.Show = w.pointedTo(git)
	}
	if len(r.Show) == 0 {
		return r
	}
	if top != project {
		r.Top = top
	}
	budget := 10000
	for _, dir := range r.Show {
		if !w.lookThrough(&r, dir, &budget) {
			return Repository{} // the rest of it was not looked at
		}
	}
	return r
}

// lookThrough looks for credentials in a directory of git's own, and in those of
// submodules and work trees that are in there. It says whether it could look at all.
func (w *walker) lookThrough(r *Repository, dir string, budget *int) bool {
	for _, e := range w.list(dir, budget) {
		name := dir + "/" + e.name
		lower := strings.ToLower(e.name)
		switch {
		case e.name == "config" || e.name == "config.worktree":
			if e.kind != unix.DT_REG || !w.lookAtSettings(r, dir, name, 0) {
				return false
			}
		case e.kind == unix.DT_DIR && (e.name == "modules" || e.name == "worktrees"):
			if !w.lookBelow(r, name, budget) {
				return false
			}
		case strings.HasPrefix(lower, "."), strings.Contains(lower, "credential"), strings.Contains(lower, "token"),
			strings.Contains(lower, "secret"), strings.Contains(lower, "password"):
			r.Hide = append(r.Hide, name) // git makes none of that name there
		}
	}
	return *budget > 0
}

// lookAtSettings looks at a file of settings in the directory of git's own, and at those
// in there that it includes.
func (w *walker) lookAtSettings(r *Repository, dir, name string, depth int) bool {
	config := w.text(name)
	if len(config) >= configSize || depth > configDepth {
		return false
	}
	if text, changed := withoutCredentials(config); changed {
		if r.Settings == nil {
			r.Settings = make(map[string]string)
		}
		r.Settings[name] = text
	}
	for _, s := range parseGitConfig(config) {
		if s.Section != "include" && s.Section != "includeif" || s.Key != "path" {
			continue
		}
		// Others are not shown for that.
		included := w.real(from(path.Dir(name), s.Value))
		if included != "" && policy.Within(included, dir) && !w.lookAtSettings(r, dir, included, depth+1) {
			return false
		}
	}
	return true
}

// lookBelow is lookThrough for each directory of git's own below one of their names,
// which may have slashes in them.
func (w *walker) lookBelow(r *Repository, dir string, budget *int) bool {
	for _, e := range w.list(dir, budget) {
		name := dir + "/" + e.name
		switch {
		case e.kind != unix.DT_DIR:
		case w.kind(name+"/HEAD") == unix.S_IFREG:
			if !w.lookThrough(r, name, budget) {
				return false
			}
		case !w.lookBelow(r, name, budget):
			return false
		}
	}
	return *budget > 0
}

// list are the entries of a directory without links on the way. The budget becomes 0
// where not all of them could be seen.
func (w *walker) list(dir string, budget *int) (entries []entry) {
	o, err := w.open(dir)
	if err != nil || o.real != dir {
		*budget = 0
		return nil
	}
	defer unix.Close(o.fd) // opened with O_PATH
	fd, err := unix.Openat(o.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		*budget = 0
		return nil
	}
	defer unix.Close(fd)
	buf := make([]byte, 16384)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			*budget = 0
		}
		if err != nil || n == 0 {
			return entries
		}
		for b := buf[:n]; len(b) > 0; {
			var e entry
			e, b = dirent(b)
			if e.name == "." || e.name == ".." {
				continue
			}
			if *budget--; *budget <= 0 {
				*budget = 0
				return entries
			}
			if e.kind == unix.DT_UNKNOWN {
				e.kind = uint8(w.kind(dir+"/"+e.name) >> 12)
			}
			entries = append(entries, e)
		}
	}
}

// pointedTo are the directories that a .git file leads to, if they belong to its work
// tree: that of a submodule, or of a further work tree and the repository's.
func (w *walker) pointedTo(git string) []string {
	to, ok := strings.CutPrefix(w.text(git), "gitdir:")
	if !ok {
		return nil
	}
	dir := w.real(from(path.Dir(git), strings.TrimSpace(to)))
	if dir == "" || w.kind(dir+"/HEAD") != unix.S_IFREG {
		return nil
	}
	common := strings.TrimSpace(w.text(dir + "/commondir"))
	if common == "" {
		for _, s := range parseGitConfig(w.text(dir + "/config")) {
			if s.Section == "core" && s.Key == "worktree" && w.real(from(dir, s.Value)) == path.Dir(git) {
				return []string{dir}
			}
		}
		return nil
	}
	back := strings.TrimSpace(w.text(dir + "/gitdir"))
	repo := path.Dir(path.Dir(dir))
	if back == "" || w.real(from(dir, back)) != git || path.Base(path.Dir(dir)) != "worktrees" ||
		w.real(from(dir, common)) != repo {
		return nil
	}
	return []string{repo} // dir is in there
}

// kind is the file type of what is at the path; 0 for nothing, and that of a link where
// one is at its end or on the way.
func (w *walker) kind(name string) uint32 {
	o, err := w.open(name)
	if err != nil {
		return 0
	}
	unix.Close(o.fd) // opened with O_PATH
	if o.real != name {
		return unix.S_IFLNK
	}
	return o.st.Mode & unix.S_IFMT
}

// real is the path without links, or "" where nothing is.
func (w *walker) real(name string) string {
	o, err := w.open(name)
	if err != nil {
		return ""
	}
	unix.Close(o.fd) // opened with O_PATH
	return o.real
}

// text is what is in a small regular file; "" of anything else, and behind a link.
func (w *walker) text(name string) string {
	o, err := w.open(name)
	if err != nil {
		return ""
	}
	defer unix.Close(o.fd) // opened with O_PATH
	if o.real != name || o.st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ""
	}
	s, err := readFile(o.fd, configSize)
	if err != nil {
		return "" // neither could git
	}
	return s
}

// withoutCredentials are settings of git without what lets anybody in elsewhere:
// passwords and names in addresses, headers, keys. It says whether there was some.
func withoutCredentials(config string) (_ string, changed bool) {
	list := parseGitConfig(config)
	var b strings.Builder
	section := ""
	for _, s := range list {
		value := withoutUser(s.Value)
		if secretSetting(s) {
			changed = true
			continue
		}
		changed = changed || value != s.Value || withoutUser(s.Sub) != s.Sub
		if value == "" {
			continue // an empty value, or a switch that is on: nothing that the file can do without matters
		}
		if head := sectionHead(s); head != section {
			section = head
			b.WriteString(head)
		}
		b.WriteString("\t" + s.Key + " = " + quoteSetting(value) + "\n")
	}
	return b.String(), changed
}

// secretSetting says whether the setting is a credential by its name, or a command that
// tells one.
func secretSetting(s setting) bool {
	if s.Section == "credential" && strings.ContainsAny(s.Value, "!=") {
		return true
	}
	for _, word := range [...]string{"extraheader", "pass", "token", "secret", "cookie", "sslkey", "oauth"} {
		if strings.Contains(s.Key, word) {
			return true
		}
	}
	return false
}

// withoutUser is a value without the user and password of the addresses in it.
func withoutUser(value string) string {
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok {
		return value
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?# "); end >= 0 {
		authority = rest[:end]
	}
	at := strings.LastIndex(authority, "@")
	// The user of an address of ssh is no secret, and has to be there.
	if at >= 0 && (strings.Contains(authority[:at], ":") || !strings.HasSuffix(scheme, "ssh")) {
		rest = rest[at+1:]
	}
	return scheme + "://" + withoutUser(rest)
}

func sectionHead(s setting) string {
	if s.Sub == "" {
		return "[" + s.Section + "]\n"
	}
	return "[" + s.Section + ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(withoutUser(s.Sub)) + "\"]\n"
}

func quoteSetting(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\b", `\b`).Replace(value) + `"`
}
