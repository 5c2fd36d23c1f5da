package review

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// resultMost bounds how many changes a Result names of each kind.
const resultMost = 100

// Result is what keeping came to.
type Result struct {
	// Kept is how many changes were kept.
	Kept int
	// Conflicts and Refused are changes that were not, as Failed are, with their errors. Of
	// each the first ones are here, and More has how many there are besides.
	Conflicts, Refused []*Change
	Failed             []error
	More               int
	// Left says that the review has changes still.
	Left bool
}

// OK says whether all that was to be kept was.
func (x *Result) OK() bool { return len(x.Conflicts)+len(x.Refused)+len(x.Failed) == 0 }

// keeper keeps the changes of one root.
type keeper struct {
	*Review
	*tree
	modes  map[modeKey]uint32
	paths  []Selected
	force  bool
	result *Result
	trash  int
	number int
}

func (k *keeper) op(what string) { k.Review.step(what) }

// Keep makes the selected changes on the host, or all if there is no selection; with force
// also those that are in conflict with what has changed there meanwhile. What was kept
// leaves the review. A keep that was interrupted goes on first, and without a selection
// that is all.
func (r *Review) Keep(paths []Selected, force bool) (*Result, error) {
	x := &Result{}
	if r.journal.discarding {
		return x, refuse("sbx review discard "+r.ID, "keep review %s: it was being discarded, and is not whole any more",
			r.ID)
	}
	resumed := false
	if p := r.journal.pending; p != nil {
		if err := r.keep(p.Paths, p.Force, x); err != nil {
			return x, err
		}
		resumed = len(p.Paths) > 0 && len(paths) == 0
	}
	if !resumed {
		if err := r.note(line{Keep: &keepLine{paths, force}}); err != nil {
			return x, err
		}
		*x = Result{Kept: x.Kept}
		if err := r.keep(paths, force, x); err != nil {
			return x, err
		}
	}
	empty, err := r.Empty()
	x.Left = !empty
	return x, err
}

func (r *Review) keep(paths []Selected, force bool, x *Result) error {
	if len(paths) == 0 {
		paths = r.all()
	}
	err := r.each(func(t *tree) (err error) {
		k := &keeper{Review: r, tree: t, modes: r.journal.modes, paths: paths, force: force, result: x}
		if err := t.prepare(""); err != nil {
			return err
		}
		if err := t.findRenames(); err != nil {
			return err
		}
		k.paths = t.withRenames(paths)
		// What is renamed over the host's files is on the disk before they are gone.
		if err := unix.Syncfs(t.upper); err != nil {
			return err
		}
		if k.trash, err = openDir(t.base, trashName); err != nil {
			return err
		}
		defer func() {
			if cleared := k.clearTrash(); err == nil {
				err = cleared
			}
			closeFD(k.trash)
		}()
		if err := k.dir(""); err != nil {
			return err
		}
		return k.top()
	})
	if err != nil {
		return err
	}
	return r.note(line{Done: true})
}

// clearTrash removes what was moved away.
func (k *keeper) clearTrash() error {
	list, err := names(k.trash)
	if err != nil {
		return err
	}
	for _, name := range list {
		if err := removeTree(k.trash, name, k.Review.step); err != nil {
			return err
		}
	}
	return nil
}

// withRenames adds the other halves of renames to a selection: both are kept, or none.
func (t *tree) withRenames(paths []Selected) []Selected {
	all := slices.Clone(paths)
	for to, from := range t.renames.from {
		for _, half := range [...][2]string{{from, to}, {to, from}} {
			one, _ := selects(paths, t.root.N, half[0])
			if other, _ := selects(paths, t.root.N, half[1]); one && !other {
				all = append(all, Selected{t.root.N, []byte(half[1])})
			}
		}
	}
	return all
}

// selected says whether the change is to be kept, and whether something below it is.
func (k *keeper) selected(c *Change) (self, below bool) { return selects(k.paths, c.Root, c.Path) }

// dir keeps what is in a directory: files first, then what is in directories, and the
// attributes of each of those last.
func (k *keeper) dir(rel string) error {
	p, err := k.pair(rel)
	if err != nil {
		return err
	}
	open := true
	defer func() {
		if open {
			p.close()
		}
	}()
	var dirs []*Change
	for _, name := range p.names {
		c, err := k.entry(&p, name)
		if err != nil {
			k.fail(join(rel, name), err)
			continue
		}
		if c.descend {
			dirs = append(dirs, c)
			continue
		}
		if self, _ := k.selected(c); self {
			if err := k.file(&p, c, rel, name); err != nil {
				k.fail(c.Path, err)
			}
		}
	}
	p.close()
	open = false
	for _, c := range dirs {
		if err := k.subdir(c); err != nil {
			k.fail(c.Path, err)
		}
	}
	return nil
}

// fail notes what could not be kept.
func (k *keeper) fail(rel string, err error) {
	if len(k.result.Failed) < resultMost {
		k.result.Failed = append(k.result.Failed, fmt.Errorf("keep %s: %w", text.Quote(rel), err))
	} else {
		k.result.More++
	}
}

// stopped says that the change is not to be kept, and notes why.
func (k *keeper) stopped(c *Change) bool {
	list := &k.result.Refused
	switch {
	case c.Refused != "":
	case c.Conflict != "" && !k.force:
		list = &k.result.Conflicts
	default:
		return false
	}
	if len(*list) < resultMost {
		*list = append(*list, c)
	} else {
		k.result.More++
	}
	return true
}

// file keeps one entry that is no directory, or a whiteout.
func (k *keeper) file(p *pair, c *Change, rel, name string) error {
	switch {
	case c.none(): // it says nothing, or nothing any more
		k.op("forget")
		return unix.Unlinkat(p.up, name, 0)
	case c.Type == "socket":
		k.stopped(c)
		k.op("forget")
		return unix.Unlinkat(p.up, name, 0)
	case k.stopped(c):
		return nil
	case c.Kind == Deleted:
		if err := k.away(p.low, name, c); err != nil {
			return err
		}
		k.op("forget")
		if err := unix.Unlinkat(p.up, name, 0); err != nil {
			return err
		}
		if k.renames.to[c.Path] == "" {
			k.result.Kept++
		}
		return nil
	}
	if p.low < 0 {
		low, err := k.host(rel)
		if err != nil {
			return err
		}
		p.low = low
	}
	if err := k.strip(p.up, c.Path, name, &c.upper); err != nil {
		return err
	}
	flags := uint(0)
	switch c.Old {
	case "directory":
		if err := k.busy(c.Path); err != nil {
			return err
		}
		done, err := k.swapDirectory(p, c, name)
		if done || err != nil {
			return err
		}
		if err := k.away(p.low, name, c); err != nil {
			return err
		}
		fallthrough
	case "":
		flags = unix.RENAME_NOREPLACE
	default:
		// Comparing may have taken its time.
		if now, err := stat(p.low, name); err != nil || now.Ino != c.lower.Ino || now.Ctim != c.lower.Ctim {
			c.Conflict = changedMeanwhile
			if k.stopped(c) {
				return nil
			}
		}
	}
	err := k.touch(p.low, name, &c.lower, c.Old != "" && flags == 0, func() error {
		k.op("rename")
		return unix.Renameat2(p.up, name, p.low, name, flags)
	})
	if errors.Is(err, unix.EEXIST) {
		c.Conflict = "it was made on the host meanwhile"
		k.stopped(c)
		return nil
	}
	if err == nil {
		k.result.Kept++
	}
	return err
}

// touch does what takes a name from a file of the host. If that has further names, the
// journal has its change time then, which is no change of the host's.
func (k *keeper) touch(low int, name string, st *unix.Stat_t, takes bool, do func() error) error {
	if !takes || isDir(st.Mode) || st.Nlink < 2 {
		return do()
	}
	fd, err := openAt(low, name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	changed := later(st.Ctim, k.root.Start) && !k.Review.journal.own(k.root.N, "", st)
	if err := do(); err != nil || changed {
		return err
	}
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return err
	}
	return k.note(line{Touched: &touchLine{k.root.N, now.Ino, now.Ctim}})
}

// away removes a file of the host, and moves a directory to the trash, so that all of it
// goes at once.
func (k *keeper) away(low int, name string, c *Change) error {
	if c.Old != "directory" {
		return k.touch(low, name, &c.lower, true, func() error {
			k.op("unlink")
			return unix.Unlinkat(low, name, 0)
		})
	}
	return k.freshTrash(func(to string) error {
		k.op("move away")
		err := unix.Renameat2(low, name, k.trash, to, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EACCES) {
			// To move a directory takes the right to write to it.
			if chmod(low, name, c.lower.Mode&0o7777|0o700) == nil {
				err = unix.Renameat2(low, name, k.trash, to, unix.RENAME_NOREPLACE)
			}
		}
		return err
	})
}

// freshTrash calls f with names in the trash until one is new.
func (k *keeper) freshTrash(f func(name string) error) error {
	for {
		k.number++
		if err := f(fmt.Sprint(k.number)); !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
}
