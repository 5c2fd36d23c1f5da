package review

import (
	"errors"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// removeDepth is how deep removeTree goes before it moves a directory up, so that a tree of
// any depth takes few descriptors and no long path.
const removeDepth = 32

// removeTree removes what has that name in the directory, with all in it. It follows no
// link, and step is told of each change.
func removeTree(dir int, name string, step func(string)) error {
	queue := []string{name}
	x := remover{base: dir, step: step}
	for len(queue) > 0 {
		last := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		x.moved = x.moved[:0]
		err := x.remove(dir, last, 0)
		if err != nil {
			return err
		}
		if len(x.moved) > 0 {
			queue = append(append(queue, last), x.moved...)
		}
	}
	return nil
}

type remover struct {
	base  int
	count int
	moved []string // names of directories that were moved up
	step  func(string)
}

func (x *remover) remove(dir int, name string, depth int) error {
	st, ok, err := statOrNone(dir, name)
	if err != nil || !ok {
		return err
	}
	if !isDir(st.Mode) {
		x.step("unlink")
		return unix.Unlinkat(dir, name, 0)
	}
	if st.Mode&0o700 != 0o700 {
		x.step("open up")
		if err := chmod(dir, name, 0o700); err != nil {
			return err
		}
	}
	if depth == removeDepth {
		return x.moveUp(dir, name)
	}
	fd, err := openDir(dir, name)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	list, err := names(fd)
	if err != nil {
		return err
	}
	before := len(x.moved)
	for _, child := range list {
		if err := x.remove(fd, child, depth+1); err != nil {
			return err
		}
	}
	if depth == 0 && len(x.moved) > before {
		return nil // it comes once more, when what was moved up is gone
	}
	x.step("rmdir")
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

// moveUp renames a directory into the first one.
func (x *remover) moveUp(dir int, name string) error {
	for {
		x.count++
		to := newPrefix + "removed-" + strconv.Itoa(x.count)
		x.step("move up")
		err := unix.Renameat2(dir, name, x.base, to, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err == nil {
			x.moved = append(x.moved, to)
		}
		return err
	}
}

// Discard removes the review and all its changes.
func (r *Review) Discard() error {
	if err := r.finishDirs(); err != nil {
		return err
	}
	if !r.journal.discarding {
		if err := r.note(line{Discard: true}); err != nil {
			return err
		}
	}
	for i := range r.Roots {
		if err := r.removePlace(&r.Roots[i]); err != nil {
			return err
		}
	}
	gone := newPrefix + r.ID
	r.step("rename")
	if err := unix.Renameat(r.store.dir, r.ID, r.store.dir, gone); err != nil {
		return err
	}
	return removeTree(r.store.dir, gone, r.step)
}

// removePlace removes what a root has on another file system.
func (r *Review) removePlace(root *Root) error {
	if len(root.Place) == 0 {
		return nil
	}
	dir, name := path.Split(string(root.Place))
	at, err := openPath(path.Clean(dir))
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeFD(at)
	place, err := openDir(at, name)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = private(place)
	closeFD(place)
	if err != nil {
		return err
	}
	return removeTree(at, name, r.step)
}

// DiscardPaths forgets the changes of these paths and below.
func (r *Review) DiscardPaths(paths []Selected) error {
	return r.each(func(t *tree) error {
		if err := t.prepare(""); err != nil {
			return err
		}
		if err := t.findRenames(); err != nil {
			return err
		}
		for _, s := range t.withRenames(paths) {
			rel := string(s.Path)
			if s.Root != t.root.N {
				continue
			}
			if rel != "" {
				if err := t.forget(rel); err != nil {
					return err
				}
			}
			if rel == "" {
				if err := t.forgetAll(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// forget removes a path of the upper directory.
func (t *tree) forget(rel string) error {
	dir, name := split(rel)
	up, err := openDir(t.upper, dir)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeFD(up)
	return removeTree(up, name, t.r.step)
}

func (t *tree) forgetAll() error {
	list, err := names(t.upper)
	if err != nil {
		return err
	}
	for _, name := range list {
		if err := removeTree(t.upper, name, t.r.step); err != nil {
			return err
		}
	}
	return unix.Fchmod(t.upper, t.root.Mode)
}
