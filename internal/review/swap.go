package review

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Where a file takes the place of a directory, or a directory that of a file, the two are
// exchanged in one step, so that the path always leads to the one or the other.

// errSwapped is the error where the host has put something else there meanwhile.
var errSwapped = errors.New(changedMeanwhile)

// swapDirectory puts a file in the place of the host's directory, which is in the trash then.
// It is not done on file systems that cannot exchange two names.
//
// The file gets a second name for that. If it has both when keeping is killed, it is the
// same on the host as here, and the next keep forgets it.
func (k *keeper) swapDirectory(p *pair, c *Change, name string) (done bool, err error) {
	var second string
	err = k.freshTrash(func(to string) error {
		second = to
		k.op("link")
		return unix.Linkat(p.up, name, k.trash, to, 0)
	})
	if err != nil {
		return false, err
	}
	err = k.swap(second, p.low, name, c)
	switch {
	case errors.Is(err, unix.EINVAL):
		return false, unix.Unlinkat(k.trash, second, 0)
	case errors.Is(err, errSwapped):
		return k.stopped(c), nil
	case err != nil:
		return false, err
	}
	k.op("forget")
	if err := unix.Unlinkat(p.up, name, 0); err != nil {
		return false, err
	}
	k.result.Kept++
	return true, nil
}

// swap exchanges what has that name in the trash with the host's.
func (k *keeper) swap(fresh string, low int, name string, c *Change) error {
	exchange := func() error {
		if k.Review.noExchange {
			return unix.EINVAL
		}
		return unix.Renameat2(k.trash, fresh, low, name, unix.RENAME_EXCHANGE)
	}
	k.op("exchange")
	err := exchange()
	if errors.Is(err, unix.EACCES) && c.Old == "directory" {
		// To move a directory takes the right to write to it.
		if chmod(low, name, c.lower.Mode&0o7777|0o700) == nil {
			err = exchange()
		}
	}
	if err != nil {
		return err
	}
	st, err := stat(k.trash, fresh)
	if err == nil && (st.Ino != c.lower.Ino || !isDir(st.Mode) && st.Mtim != c.lower.Mtim) {
		c.Conflict = changedMeanwhile
		err = errSwapped
		if back := exchange(); back != nil {
			err = back
		}
	}
	return err
}
