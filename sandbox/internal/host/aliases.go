package host

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
)

// Alias is a second name of a file that must not be written, in a directory that
// the target may write.
type Alias struct {
	File File
	// Of is the file's own name.
	Of string
}

// probeAliases looks for further hard links of what is to be read-only: a mount
// protects a name, and the target could write by another. Files with one name
// only, as nearly all are, need no search.
func (h *Facts) probeAliases(_ *policy.Policy, tree *policy.Tree, _ Target) error {
	guarded := make(map[ns.ID]string)
	counts := func(f *File) bool { return f.Mode == unix.S_IFREG && (f.Links > 1 || f.Real == "") }
	add := func(f File, name string) {
		if counts(&f) {
			guarded[f.ID()] = name
		}
	}
	for i := range tree.Entries {
		e := &tree.Entries[i]
		if e.Kind != policy.KindRead {
			continue
		}
		if f := led(h.Files[e.Source()]); counts(&f) && h.inWritable(tree, f) {
			add(f, e.Source())
		}
	}
	for _, g := range h.Guarded {
		if !g.Dir && g.Links > 1 {
			guarded[g.ID] = g.Path
		}
	}
	for _, s := range h.Sources {
		add(s.File, s.Name)
	}
	add(h.Receipt, "the receipt")
	if len(guarded) == 0 {
		return nil
	}
	for _, e := range tree.Entries {
		f := h.Files[e.Source()]
		if e.Kind != policy.KindWrite || !f.Dir() {
			continue
		}
		for id, of := range guarded {
			if id.Major == f.Major && id.Minor == f.Minor {
				s := aliasSearch{h: h, id: id, of: of}
				if err := s.walk(f.Real); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// inWritable says whether the file lies in a directory that may be written.
func (h *Facts) inWritable(tree *policy.Tree, f File) bool {
	for i := range tree.Entries {
		e := &tree.Entries[i]
		if e.Kind != policy.KindWrite {
			continue
		}
		if dir := h.Files[e.Source()]; dir.Dir() && policy.Within(f.Real, dir.Real) {
			return true
		}
	}
	return false
}

// aliasSearch looks for all names of one file.
type aliasSearch struct {
	h    *Facts
	id   ns.ID
	of   string
	seen int
}

// walk looks through a directory. What it cannot look at could have such a name:
// it is masked, or nothing runs.
func (s *aliasSearch) walk(dir string) error {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return s.failed(dir, err)
	}
	defer unix.Close(root)
	buf := make([]byte, 16384)
	for queue := []string{"."}; len(queue) > 0; queue = queue[1:] {
		how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := unix.Openat2(root, queue[0], &how)
		if err == unix.EACCES {
			// The target may own it and make it readable, so it is masked.
			if f := s.h.look(path.Join(dir, queue[0])); f.Dir() {
				s.h.Found = append(s.h.Found, Found{Path: f.Real, Dir: true, ID: f.ID(), Unread: true})
				continue
			}
		}
		if err != nil {
			return s.failed(path.Join(dir, queue[0]), err)
		}
		below, err := s.directory(fd, path.Join(dir, queue[0]), queue[0], buf)
		unix.Close(fd)
		if err != nil {
			return err
		}
		queue = append(queue, below...)
	}
	return nil
}

func (s *aliasSearch) directory(fd int, dir, rel string, buf []byte) (below []string, err error) {
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return nil, s.failed(dir, err)
		}
		if n == 0 {
			return below, nil
		}
		for b := buf[:n]; len(b) > 0; {
			var e entry
			if e, b = dirent(b); e.name == "." || e.name == ".." {
				continue
			}
			if s.seen++; s.seen > s.h.limit() {
				return nil, s.failed(dir, fmt.Errorf("more than %d files", s.h.limit()))
			}
			switch {
			case e.kind == unix.DT_DIR || e.kind == unix.DT_UNKNOWN:
				if e.kind == unix.DT_DIR || isDir(fd, e.name) {
					below = append(below, path.Join(rel, e.name))
					continue
				}
				fallthrough
			case e.ino == s.id.Ino:
				f := s.h.look(path.Join(dir, e.name))
				if f.Mode != 0 && f.ID() == s.id {
					s.h.Aliases = append(s.h.Aliases, Alias{f, s.of})
				}
			}
		}
	}
}

func isDir(fd int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

func (s *aliasSearch) failed(dir string, err error) error {
	of := text.Quote(s.of)
	return &NeedError{
		Reason: NotWritable,
		What:   fmt.Sprintf("look in %s for other names of %s, which must not be written: %v", text.Quote(dir), of, err),
		Fix:    fmt.Sprintf("give the file one name only: cp -p %s %[1]s.new && mv %[1]s.new %[1]s", of),
	}
}
