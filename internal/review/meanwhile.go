package review

import "golang.org/x/sys/unix"

const (
	changedMeanwhile  = "it was changed on the host meanwhile"
	removedMeanwhile  = "it was removed on the host meanwhile"
	replacedMeanwhile = "its directory was replaced on the host meanwhile"
	maybeRemoved      = "it may have been removed on the host meanwhile: its directory has changed"
	maybeReplaced     = "its directory may have been replaced on the host meanwhile"
)

// then opens what is known of the start.
func (t *tree) then() (*before, error) {
	if t.before == nil {
		b, err := t.r.readBefore(t.root.N)
		if err != nil {
			return nil, err
		}
		t.before = b
	}
	return t.before, nil
}

// changed says whether the host's file has changed since the start, by its change time.
// What keeping itself does is no such change.
func (t *tree) changed(rel string, st *unix.Stat_t) bool {
	return later(st.Ctim, t.root.Start) && !t.r.journal.own(t.root.N, rel, st)
}

// judgeHost sets the conflict, if the host's file has changed since the start. A change
// of its mode, and a rename, count as well.
func (t *tree) judgeHost(p *pair, c *Change) {
	switch {
	case c.Old == "":
	case t.changed(c.Path, &c.lower) && !(isDir(c.lower.Mode) && t.r.journal.made(t.root.N, c.Path, &c.lower)):
		c.Conflict = changedMeanwhile
	case p.replaced != "":
		c.Conflict = p.replaced
	}
}

// judgeMissing sets the conflict, if the host had what the program has changed or replaced,
// and has it no more.
func (t *tree) judgeMissing(p *pair, c *Change, name string) error {
	var st unix.Stat_t
	if p.low >= 0 {
		if err := unix.Fstat(p.low, &st); err != nil || !later(st.Ctim, t.root.Start) {
			return err // no name has gone from it
		}
	}
	if t.r.journal.busy[modeKey{t.root.N, c.Path}] {
		return nil // keeping has taken it away itself
	}
	b, err := t.then()
	if err != nil {
		return err
	}
	switch had, known := b.had(p.rel, name); {
	case had:
		c.Conflict = removedMeanwhile
	case known, p.low < 0, !t.changed(p.rel, &st), t.r.journal.made(t.root.N, p.rel, &st):
	default:
		c.Conflict = maybeRemoved
	}
	return nil
}

// replacedDir says whether the host's directory is another one than at the start: then
// nothing tells what in it has changed.
func (t *tree) replacedDir(rel string, low int) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(low, &st); err != nil {
		return "", err
	}
	if rel == "" || t.r.journal.made(t.root.N, rel, &st) {
		return "", nil
	}
	b, err := t.then()
	if err != nil {
		return "", err
	}
	unsure := false
	for at := rel; at != ""; {
		if was := b.state(at); was != "" {
			fd, err := openDir(t.lower, at)
			if err != nil {
				return "", err
			}
			now, err := stateOf(fd)
			closeFD(fd)
			if err != nil || identity(now) != identity(was) {
				return replacedMeanwhile, err
			}
			break
		}
		unsure = unsure || !b.lacked(at)
		at, _ = split(at)
	}
	if unsure && t.changed(rel, &st) {
		return maybeReplaced, nil
	}
	return "", nil
}

// changedDir says whether the attributes of the host's directory have changed since the
// start. Its change time is also that of its entries, and says it only where nothing
// better is known.
func (t *tree) changedDir(rel string, low int, st *unix.Stat_t) (string, error) {
	if t.r.journal.busy[modeKey{t.root.N, rel}] {
		return "", nil
	}
	b, err := t.then()
	if err != nil {
		return "", err
	}
	if was := b.state(rel); was != "" && low >= 0 {
		now, err := stateOf(low)
		if err != nil || now == was {
			return "", err
		}
		return changedMeanwhile, nil
	}
	if t.changed(rel, st) {
		return changedMeanwhile, nil
	}
	return "", nil
}
