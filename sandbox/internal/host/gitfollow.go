package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
)

// What a follower reads is bounded; more than that is an error, since it was
// not looked at.
const (
	configSize  = 1 << 20  // of one file
	configTotal = 16 << 20 // of all together
	configDepth = 10       // of files that include each other, as in git
	linkedDirs  = 1000     // directories that links lead to, of all together
)

// follower finds what guarded files point to inside the project: links, git's
// own settings, the files that they include, the directory of the hooks and
// the commands that they name. It runs nothing, and guards nothing elsewhere.
type follower struct {
	g         *guarding
	root      int // the project's directory
	dir, home string
	size      int64
	dirs      int
	parsed    map[string][]setting
	done      map[string]bool // what was followed, by the file and the work tree that it is about
}

// follow guards what the guarded links and repositories of the project point to.
func (g *guarding) follow(dir, home string) error {
	var outer []string
	if !slices.Contains(g.repos, ".git") {
		outer = outerRepositories(dir, home)
	}
	if len(g.links)+len(g.repos)+len(outer) == 0 {
		return nil
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("follow what is guarded in %s: %w", text.Quote(dir), err)
	}
	defer unix.Close(root)
	f := &follower{g: g, root: root, dir: dir, home: home, parsed: make(map[string][]setting), done: make(map[string]bool)}
	for _, rel := range g.repos {
		if err == nil {
			err = f.repository(path.Join(dir, rel))
		}
	}
	for _, name := range outer {
		if err == nil {
			err = f.repository(name)
		}
	}
	for i := 0; i < len(g.links) && err == nil; i++ { // it grows
		err = f.guard(path.Join(dir, g.links[i]), true)
	}
	if err != nil {
		return fmt.Errorf("follow what is guarded in %s: %w", text.Quote(dir), err)
	}
	return nil
}

// open opens a path without reading it, and says where it really is. A path
// without links is found below the project's own descriptor.
func (f *follower) open(name string) (fd int, real string, st unix.Stat_t, err error) {
	if fd, err = unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
		return -1, "", st, err
	}
	if err = unix.Fstat(fd, &st); err == nil {
		real, err = readlink("/proc/self/fd/" + strconv.Itoa(fd))
	}
	if err != nil {
		unix.Close(fd)
		return -1, "", st, err
	}
	return fd, real, st, nil
}

// absent says that nothing can be there: not for now, or not by that name.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || err == unix.ENOTDIR || err == unix.ELOOP || err == unix.ENAMETOOLONG
}

// guard guards what is at the path, if that is inside the project: a file, or if
// dirs a directory, too, with what its own links lead to. A name where nothing
// is yet is remembered.
func (f *follower) guard(name string, dirs bool) error {
	name = path.Clean(name)
	fd, real, st, err := f.open(name)
	for hops := 0; absent(err) && hops < 40; hops++ { // the end of a link that leads nowhere yet
		to, err := readlink(name)
		if err != nil {
			break
		}
		name = from(path.Dir(name), to)
	}
	switch {
	case absent(err):
		if rel, ok := f.inside(name); ok && !f.g.inHeld(path.Dir(rel)) {
			f.g.name(name, guarded{})
		}
		return nil
	case err == unix.EACCES:
		return nil // whoever runs git cannot read it either
	case err != nil:
		return fmt.Errorf("look at %s: %w", text.Quote(name), err)
	}
	defer unix.Close(fd)
	rel, ok := f.inside(real)
	kind := st.Mode & unix.S_IFMT
	if !ok || kind != unix.S_IFREG && !(dirs && kind == unix.S_IFDIR) || !f.g.add(rel, guardedFile(real, &st)) ||
		kind == unix.S_IFREG {
		return nil
	}
	return f.linksBelow(fd, rel)
}

// inside gives a path relative to the project, if it is below that.
func (f *follower) inside(real string) (rel string, ok bool) {
	if real == f.dir || !policy.Within(real, f.dir) {
		return "", false
	}
	return strings.TrimPrefix(real[len(f.dir):], "/"), true
}

// linksBelow notes the links in a directory that has come to be guarded.
func (f *follower) linksBelow(fd int, rel string) error {
	if f.dirs++; f.dirs > linkedDirs {
		return fmt.Errorf("more than %d directories are linked to", linkedDirs)
	}
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH}
	fd, err := unix.Openat2(fd, ".", &how)
	if err != nil {
		return nil // not readable: nothing in it can be run or obeyed
	}
	defer unix.Close(fd)
	buf := make([]byte, 16384)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil || n == 0 {
			return err
		}
		for b := buf[:n]; len(b) > 0; {
			var e entry
			e, b = dirent(b)
			switch {
			case e.name == "." || e.name == "..":
			case e.kind == unix.DT_LNK:
				f.g.links = append(f.g.links, path.Join(rel, e.name))
			case e.kind == unix.DT_DIR:
				below, err := unix.Openat2(fd, e.name, &how)
				if err != nil {
					continue
				}
				err = f.linksBelow(below, path.Join(rel, e.name))
				unix.Close(below)
				if err != nil {
					return err
				}
			}
		}
	}
}

// text is what is in a small file; "" if there is none. A link out of the
// project is not followed.
func (f *follower) text(name string) (string, error) {
	fd, real, st, err := f.open(name)
	if absent(err) || err == unix.EACCES {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", text.Quote(name), err)
	}
	defer unix.Close(fd)
	_, was := f.inside(path.Clean(name))
	if _, is := f.inside(real); was && !is || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", nil
	}
	if f.size += st.Size; st.Size > configSize || f.size > configTotal {
		return "", &NeedError{
			Reason: Invalid,
			What: fmt.Sprintf("read %s: settings of more than %d bytes, or %d with others", text.Quote(name), configSize,
				configTotal),
			Fix: "move that repository out of the project, or hide it with --hide",
		}
	}
	// Not by its name, which may mean another file by now.
	in, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err == unix.EACCES {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", text.Quote(name), err)
	}
	defer unix.Close(in)
	b := make([]byte, st.Size+1)
	n := 0
	for n < len(b) {
		got, err := unix.Read(in, b[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read %s: %w", text.Quote(name), err)
		}
		if got == 0 {
			break
		}
		n += got
	}
	return string(b[:n]), nil
}

// repository follows one: the directory, or a file that says where it is.
func (f *follower) repository(name string) error {
	work := path.Dir(name)
	if files, mark := policy.RepositoryMark(path.Base(name)); !mark {
		work = name // one of git's without a work tree
	} else if path.Base(name) != ".git" {
		for _, file := range files {
			if err := f.words(path.Join(name, file), work, 0); err != nil {
				return err
			}
		}
		return nil
	}
	pointer, err := f.text(name) // of a submodule or a further work tree
	if err != nil {
		return err
	}
	if to, ok := strings.CutPrefix(pointer, "gitdir:"); ok {
		name = from(path.Dir(name), strings.TrimSpace(to))
		if err := f.guard(name, true); err != nil {
			return err
		}
	}
	if f.home != "" { // the caller's own settings are about this one, too
		for _, s := range [...]string{"/.gitconfig", "/.config/git/config"} {
			if err := f.settings(f.home+s, work, 0); err != nil {
				return err
			}
		}
	}
	dirs := []string{name}
	common, err := f.text(name + "/commondir")
	if err != nil {
		return err
	}
	if common = strings.TrimSpace(common); common != "" {
		dirs = append(dirs, from(name, common))
		if err := f.guard(dirs[1], true); err != nil {
			return err
		}
	}
	for _, d := range dirs {
		for _, s := range [...]string{"/config", "/config.worktree"} {
			if err := f.settings(d+s, work, 0); err != nil {
				return err
			}
		}
		if err := f.guard(d+"/hooks", true); err != nil {
			return err
		}
	}
	return nil
}

// settings guards a file of settings and what it points to. work is the work
// tree, where git runs commands.
func (f *follower) settings(name, work string, depth int) error {
	if name = path.Clean(name); f.done[name+"\x00"+work] || depth > configDepth {
		return nil // git refuses what includes itself
	}
	f.done[name+"\x00"+work] = true
	list, ok := f.parsed[name]
	if !ok {
		if err := f.guard(name, false); err != nil {
			return err
		}
		config, err := f.text(name)
		if err != nil {
			return err
		}
		list = parseGitConfig(config)
		f.parsed[name] = list
	}
	for _, s := range list {
		var err error
		switch {
		case s.Section == "include" || s.Section == "includeif":
			if s.Key == "path" {
				err = f.settings(f.path(path.Dir(name), s.Value), work, depth+1)
			}
		case s.Section == "core" && s.Key == "hookspath" || s.Section == "init" && s.Key == "templatedir":
			err = f.guard(f.path(work, s.Value), true)
		case !pointsNowhere(s):
			err = f.commands(work, s.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pointsNowhere says that the setting is no command and no file that git obeys,
// although its words may be names of some.
func pointsNowhere(s setting) bool {
	switch s.Section {
	case "branch", "user", "author", "committer", "url", "color", "extensions":
		return true
	case "remote", "submodule":
		switch s.Key {
		case "uploadpack", "receivepack", "proxy", "update", "vcs":
			return false
		}
		return true
	case "core":
		return s.Key == "worktree"
	}
	return false
}

// commands guards the files that a setting's words name: the program, what an
// interpreter is to run, or a file that git obeys.
func (f *follower) commands(work, value string) error {
	const most = 1000 // words of one value
	split := func(c rune) bool { return strings.ContainsRune(" \t\n\r'\"`;|&()<>={},!:", c) }
	for i, word := range strings.FieldsFunc(value, split) {
		if i == most {
			break
		}
		if strings.HasPrefix(word, "-") || strings.Trim(word, "0123456789./") == "" {
			continue
		}
		name := f.path(work, word)
		if !strings.Contains(word, "/") {
			// Mostly a program from PATH; no place is kept for it.
			var st unix.Stat_t
			if unix.Stat(name, &st) != nil {
				continue
			}
		}
		if err := f.guard(name, false); err != nil {
			return err
		}
	}
	return nil
}

// path is where a path of git's settings leads: from the home, or from a directory.
func (f *follower) path(dir, s string) string {
	s = strings.TrimPrefix(s, ":(optional)")
	if rest, ok := strings.CutPrefix(s, "~/"); ok && f.home != "" {
		return path.Join(f.home, rest)
	}
	return from(dir, s)
}

func from(dir, s string) string {
	if path.IsAbs(s) {
		return path.Clean(s)
	}
	return path.Join(dir, s)
}
