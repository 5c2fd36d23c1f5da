package review

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// subdir keeps a directory of the upper directory.
func (k *keeper) subdir(c *Change) error {
	self, below := k.selected(c)
	if !below {
		return nil
	}
	if c.Refused != "" && self {
		k.stopped(c)
	}
	if c.Refused != "" {
		return nil
	}
	if !c.merged && c.Conflict != "" && k.stopped(c) {
		return nil
	}
	if c.Old != "" && c.Old != "directory" {
		if stopped, err := k.replace(c); stopped || err != nil {
			return err
		}
	}
	if err := k.dir(c.Path); err != nil {
		return err
	}
	return k.last(c, self)
}

// replace makes a directory in the place of the host's file. stopped says that the host has
// something else there by now.
func (k *keeper) replace(c *Change) (stopped bool, err error) {
	dir, name := split(c.Path)
	low, err := openDir(k.lower, dir)
	if err != nil {
		return false, err
	}
	defer closeFD(low)
	if err := k.busy(c.Path); err != nil {
		return false, err
	}
	fresh, err := k.makeApart(c.Path)
	if err != nil {
		return false, err
	}
	err = k.touch(low, name, &c.lower, true, func() error {
		if err := k.swap(fresh, low, name, c); err != nil {
			return err
		}
		return unix.Unlinkat(k.trash, fresh, 0)
	})
	if errors.Is(err, errSwapped) {
		return k.stopped(c), nil
	}
	if errors.Is(err, unix.EINVAL) { // dir makes it
		err = k.away(low, name, c)
	}
	return false, err
}

// busy notes that a path of the host is going to be taken away or changed in steps.
func (k *keeper) busy(rel string) error {
	if k.Review.journal.busy[modeKey{k.root.N, rel}] {
		return nil
	}
	return k.note(line{Busy: &busyLine{k.root.N, []byte(rel)}})
}

// last gives a directory its attributes, after all in it was kept, and removes it from the
// upper directory if nothing is left there.
func (k *keeper) last(c *Change, self bool) error {
	key := modeKey{k.root.N, c.Path}
	made, isMade := k.Review.journal.mades[key]
	switch {
	case !isMade && self && !c.merged:
		low, err := k.host(c.Path)
		if err != nil {
			return err
		}
		closeFD(low)
		made, isMade = k.Review.journal.mades[key], true
		fallthrough
	case isMade:
		if err := k.finish(&made); err != nil {
			return err
		}
		k.result.Kept++
	case self && c.Kind == Mode:
		if k.stopped(c) {
			return nil
		}
		if err := k.busy(c.Path); err != nil {
			return err
		}
		if err := k.attributes(c.Path, c.Mode, c.upper.Uid, c.upper.Gid, nil); err != nil {
			return err
		}
		k.result.Kept++
	}
	if !self {
		return nil
	}
	dir, name := split(c.Path)
	up, err := openDir(k.upper, dir)
	if err != nil {
		return err
	}
	defer closeFD(up)
	k.op("rmdir")
	if err := unix.Unlinkat(up, name, unix.AT_REMOVEDIR); !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return nil
}

// host opens a directory of the host, and makes it where the program has made it.
func (k *keeper) host(rel string) (int, error) {
	fd, err := openDir(k.lower, rel)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	dir, name := split(rel)
	parent, err := k.host(dir)
	if err != nil {
		return -1, err
	}
	defer closeFD(parent)
	if err := k.make(parent, rel, name); err != nil {
		return -1, err
	}
	return openDir(parent, name)
}

// make makes a directory on the host: apart at first, so that the journal knows it when it
// gets its name.
func (k *keeper) make(parent int, rel, name string) error {
	fresh, err := k.makeApart(rel)
	if err != nil {
		return err
	}
	k.op("place")
	return unix.Renameat2(k.trash, fresh, parent, name, unix.RENAME_NOREPLACE)
}

// makeApart makes it in the trash, by the name that it returns.
func (k *keeper) makeApart(rel string) (fresh string, err error) {
	up, err := openDir(k.upper, rel)
	if err != nil {
		return "", err
	}
	var like, st unix.Stat_t
	err = unix.Fstat(up, &like)
	closeFD(up)
	if err != nil {
		return "", err
	}
	mode := like.Mode & 0o7777
	if noted, ok := k.modes[modeKey{k.root.N, rel}]; ok {
		mode = noted
	}
	if err := k.freshTrash(func(to string) error {
		fresh = to
		k.op("mkdir")
		return unix.Mkdirat(k.trash, to, 0o700)
	}); err != nil {
		return "", err
	}
	if st, err = stat(k.trash, fresh); err != nil {
		return "", err
	}
	return fresh, k.note(line{Made: &madeLine{
		Root: k.root.N, Path: []byte(rel), Ino: st.Ino, Mode: mode, UID: like.Uid, GID: like.Gid,
		Atime: like.Atim, Mtime: like.Mtim,
	}})
}

// finish gives a directory that was made the attributes that the program's has.
func (k *keeper) finish(m *madeLine) error {
	rel := string(m.Path)
	return k.attributes(rel, m.Mode, m.UID, m.GID, m)
}

// attributes gives a directory of the host owner, attributes and mode, and times if it was
// made by keeping. Where another one has that name by now, nothing is done.
func (k *keeper) attributes(rel string, mode, uid, gid uint32, made *madeLine) error {
	low, err := openDir(k.lower, rel)
	if err != nil {
		return err
	}
	defer closeFD(low)
	up, err := openDir(k.upper, rel)
	if err != nil {
		return err
	}
	defer closeFD(up)
	k.op("attributes")
	var st unix.Stat_t
	if err := unix.Fstat(low, &st); err != nil {
		return err
	}
	if made != nil && st.Ino != made.Ino {
		return nil
	}
	if st.Uid != uid || st.Gid != gid {
		if err := unix.Fchown(low, int(uid), int(gid)); err != nil {
			return err
		}
	}
	if err := dropXattrs(up, low); err != nil {
		return err
	}
	if err := copyXattrs(up, low); err != nil {
		return err
	}
	if err := unix.Fchmod(low, mode); err != nil {
		return err
	}
	if made == nil {
		return nil
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, byFDItself(low), []unix.Timespec{made.Atime, made.Mtime}, 0)
}

// dropXattrs takes those attributes from the host's directory that the program took.
func dropXattrs(from, to int) error {
	want, err := ownXattrs(from, ".")
	if err != nil {
		return err
	}
	have, err := ownXattrs(to, ".")
	if err != nil {
		return err
	}
	for _, attr := range have {
		if !slices.Contains(want, attr) {
			if err := unix.Fremovexattr(to, attr); err != nil {
				return err
			}
		}
	}
	return nil
}

// top keeps what has changed of the root itself.
func (k *keeper) top() error {
	c, err := k.tree.top()
	if err != nil || c == nil {
		return err
	}
	if self, _ := selects(k.paths, c.Root, ""); !self || k.stopped(c) {
		return nil
	}
	if err := k.busy(""); err != nil {
		return err
	}
	if err := k.attributes("", c.Mode, c.upper.Uid, c.upper.Gid, nil); err != nil {
		k.fail(".", err)
		return nil
	}
	k.result.Kept++
	k.root.Mode, k.root.UID, k.root.GID = c.Mode, c.upper.Uid, c.upper.Gid
	return k.Review.save()
}

// finishDirs gives the directories that an interrupted keep has made their attributes.
func (r *Review) finishDirs() error {
	if len(r.journal.mades) == 0 || r.journal.discarding {
		return nil
	}
	return r.each(func(t *tree) error {
		k := &keeper{Review: r, tree: t, modes: r.journal.modes, result: &Result{}}
		for key, m := range r.journal.mades {
			if key.root != t.root.N {
				continue
			}
			up, err := openDir(t.upper, key.path)
			if missing(err) {
				continue // it has been given them
			}
			closeFD(up)
			low, err := openDir(t.lower, key.path)
			if missing(err) {
				continue // it has not been placed
			}
			closeFD(low)
			if err := k.finish(&m); err != nil {
				return err
			}
		}
		return nil
	})
}
