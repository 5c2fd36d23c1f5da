package review

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// Dir is a directory of the host that a program is to write for a review, or a file.
type Dir struct {
	// File says that it is a regular file.
	File bool
	// Path is what it is called inside, Real what it is on the host.
	Path, Real string
	// Dev and Ino are what is there by the plan.
	Dev, Ino uint64
	// Held are the paths below Real that the program cannot change.
	Held []string
}

// Layers are the directories of an overlay, upper and work, or the copy of a file and "".
type Layers [2]string

// New makes a review of these directories, and says in the record what is given there.
// layers are the overlays' directories by the real path. The program may start when New
// has returned.
func (s *Store) New(given Record, command []string, dirs []Dir) (r *Review, layers map[string]Layers, err error) {
	own, err := s.again()
	if err != nil {
		return nil, nil, err
	}
	r = &Review{store: own, dir: -1, lock: -1, journal: newJournal()}
	r.Record = given
	r.Version, r.ID, r.Started = version, random(6), time.Now()
	for _, word := range command {
		r.Command = append(r.Command, []byte(word))
	}
	fresh := newPrefix + r.ID
	if err = unix.Mkdirat(s.dir, fresh, 0o700); err != nil {
		own.Close()
		return nil, nil, fmt.Errorf("make a review in %s: %w", text.Quote(s.path), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.undo(fresh))
			r = nil
		}
	}()
	if r.dir, err = openDir(s.dir, fresh); err != nil {
		return r, nil, err
	}
	if err = r.take(); err != nil {
		return r, nil, err
	}
	lowers := make([]int, len(dirs))
	defer func() {
		for _, fd := range lowers {
			closeFD(fd)
		}
	}()
	for i := range lowers {
		lowers[i] = -1
	}
	for i, d := range dirs {
		if lowers[i], err = r.addRoot(i, d, dirs); err != nil {
			return r, nil, fmt.Errorf("review %s: %w", text.Quote(d.Path), err)
		}
	}
	// From here on the record tells what else is there.
	if err = r.save(); err == nil {
		err = r.savePlaces()
	}
	if err != nil {
		return r, nil, err
	}
	if err = unix.Renameat(s.dir, fresh, s.dir, r.ID); err != nil {
		return r, nil, err
	}
	layers = make(map[string]Layers, len(dirs))
	for i, d := range dirs {
		if layers[d.Real], err = r.makeRoot(i, lowers[i], d); err != nil {
			return r, nil, fmt.Errorf("review %s: %w", text.Quote(d.Path), err)
		}
		if err = r.writeBefore(i, lowers[i]); err != nil {
			return r, nil, fmt.Errorf("review %s: note what is there: %w", text.Quote(d.Path), err)
		}
	}
	if err = r.save(); err != nil {
		return r, nil, err
	}
	return r, layers, r.settle()
}

// undo removes a review that could not be made.
func (r *Review) undo(fresh string) error {
	if _, err := stat(r.store.dir, r.ID); err == nil {
		defer r.Close()
		return r.Discard()
	}
	defer r.Close()
	return removeTree(r.store.dir, fresh, func(string) {})
}

// addRoot opens the directory and says in the record where its changes are going to be.
func (r *Review) addRoot(n int, d Dir, all []Dir) (int, error) {
	dir, file := d.Real, ""
	if d.File {
		dir, file = path.Split(d.Real)
		dir = path.Clean(dir)
	}
	fd, err := openPath(dir)
	if err != nil {
		return -1, err
	}
	x, err := look(fd)
	switch {
	case err != nil:
	case d.File:
		err = fitFile(fd, file, x, d)
	case x.dev != d.Dev || x.ino != d.Ino:
		err = unix.ESTALE
	default:
		err = unfit(fd)
	}
	if err != nil {
		closeFD(fd)
		return -1, err
	}
	root := Root{N: n, Path: []byte(d.Path), Real: []byte(dir), File: []byte(file), Ino: x.ino, Born: x.born}
	for _, h := range d.Held {
		root.Held = append(root.Held, []byte(h))
	}
	place, err := r.store.choose(d, x, all)
	if err != nil {
		closeFD(fd)
		return -1, err
	}
	if place != r.store.path {
		for _, other := range r.Roots {
			if dir, _ := path.Split(string(other.Place)); dir == place+"/" {
				root.Place = other.Place
			}
		}
		if root.Place == nil {
			root.Place = []byte(path.Join(place, placePrefix+random(16)))
		}
	}
	r.Roots = append(r.Roots, root)
	return fd, nil
}

// seen is what statx(2) says of a directory.
type seen struct {
	dev, ino, mount uint64
	born            unix.Timespec
	mode, uid, gid  uint32
}

func look(fd int) (seen, error) {
	var x unix.Statx_t
	const mask = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, mask, &x); err != nil {
		return seen{}, err
	}
	s := seen{
		dev: unix.Mkdev(x.Dev_major, x.Dev_minor), ino: x.Ino, mount: x.Mnt_id,
		mode: uint32(x.Mode), uid: x.Uid, gid: x.Gid,
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		s.born = unix.Timespec{Sec: x.Btime.Sec, Nsec: int64(x.Btime.Nsec)}
	}
	return s, nil
}

// choose finds the directory in which a root's changes are kept: on the same mount, since
// they are renamed from there, outside of all that the program may write, and nobody
// else's. That is the store, or the nearest directory over the root.
func (s *Store) choose(d Dir, x seen, all []Dir) (string, error) {
	fits := func(name string) (there seen, ok bool) {
		for _, other := range all {
			if name == other.Real || len(name) > len(other.Real) && name[:len(other.Real)+1] == other.Real+"/" {
				return there, false
			}
		}
		fd, err := openPath(name)
		if err != nil {
			return there, false
		}
		defer closeFD(fd)
		there, err = look(fd)
		return there, err == nil && there.mount == x.mount && there.dev == x.dev
	}
	if _, ok := fits(s.path); ok {
		return s.path, nil
	}
	for at := path.Dir(d.Real); ; at = path.Dir(at) {
		if there, ok := fits(at); ok && there.alone() && unix.Access(at, unix.W_OK) == nil {
			return at, nil
		}
		if at == "/" {
			break
		}
	}
	return "", refuse("let a directory over it be yours alone, on the same file system, and outside of what is written",
		"there is no place for its changes: sbx's own (%s) and the directories over it are on another mount, in what the "+
			"program may write, or not the caller's alone", text.Quote(s.path))
}

// alone says whether nobody but the caller may write to the directory. Many systems give
// each user a group of the same number and let it write.
func (x seen) alone() bool {
	own := int(x.uid) == unix.Geteuid()
	group := x.mode&0o020 == 0 || int(x.gid) == unix.Getegid() && x.gid == x.uid
	return own && group && x.mode&0o002 == 0
}

// unfit is an error where overlayfs cannot have an upper directory; see the kernel's
// Documentation/filesystems/overlayfs.rst.
func unfit(fd int) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	return unfitType(int64(st.Type))
}

// unfitType is unfit by the file system's magic number; see statfs(2).
func unfitType(magic int64) error {
	what := map[int64]string{
		unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.NFS_SUPER_MAGIC: "NFS", unix.FUSE_SUPER_MAGIC: "FUSE",
		unix.CIFS_SUPER_MAGIC: "SMB", unix.SMB_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB", unix.V9FS_MAGIC: "9p",
		unix.MSDOS_SUPER_MAGIC: "FAT", unix.EXFAT_SUPER_MAGIC: "exFAT", unix.CEPH_SUPER_MAGIC: "Ceph",
		unix.AFS_SUPER_MAGIC: "AFS", unix.ECRYPTFS_SUPER_MAGIC: "eCryptfs",
	}[magic]
	if what == "" {
		return nil
	}
	return refuse("work on a copy on a local file system, such as ext4, XFS, Btrfs or tmpfs",
		"its file system is %s, which cannot keep an overlay's changes", what)
}

// makeRoot makes the upper and the work directory of a root.
func (r *Review) makeRoot(n, lower int, d Dir) (l Layers, err error) {
	root := &r.Roots[n]
	place := r.dir
	if len(root.Place) > 0 {
		dir, name := path.Split(string(root.Place))
		at, err := openPath(path.Clean(dir))
		if err != nil {
			return l, err
		}
		defer closeFD(at)
		if err := unix.Mkdirat(at, name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return l, fmt.Errorf("make a directory for its changes in %s: %w", text.Quote(dir), err)
		}
		if place, err = openDir(at, name); err != nil {
			return l, err
		}
		defer closeFD(place)
		if err := private(place); err != nil {
			return l, err
		}
	}
	number := strconv.Itoa(n)
	if err := unix.Mkdirat(place, number, 0o700); err != nil {
		return l, err
	}
	at, err := openDir(place, number)
	if err != nil {
		return l, err
	}
	defer closeFD(at)
	for _, name := range [...]string{upperName, workName, trashName} {
		if err := unix.Mkdirat(at, name, 0o700); err != nil {
			return l, err
		}
	}
	base, err := pathOf(at)
	if err != nil {
		return l, err
	}
	if d.File {
		return Layers{path.Join(base, upperName, string(root.File))}, root.makeCopy(at, lower, d)
	}
	if err := root.makeUpper(at, lower); err != nil {
		return l, err
	}
	return Layers{path.Join(base, upperName), path.Join(base, workName)}, nil
}

// The directories of a root: the overlay's two, and one for what keeping takes away.
const (
	upperName = "upper"
	workName  = "work"
	trashName = "trash"
)

// makeUpper makes the upper directory look like the host's: it is what the program sees at
// the top of the overlay.
func (root *Root) makeUpper(at, lower int) error {
	upper, err := openDir(at, upperName)
	if err != nil {
		return err
	}
	defer closeFD(upper)
	const probe = "user.sbx"
	if err := unix.Fsetxattr(upper, probe, []byte("1"), 0); err != nil {
		return refuse("work on a copy on another file system",
			"its file system has no user attributes (user_xattr, tmpfs before Linux 6.6), which an overlay needs: %v", err)
	}
	if err := unix.Fremovexattr(upper, probe); err != nil {
		return err
	}
	x, err := look(lower)
	if err != nil {
		return err
	}
	// Where the owner or the group cannot be given, it is the caller's, as for files that
	// the program makes.
	if err := unix.Fchown(upper, int(x.uid), int(x.gid)); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	if err := unix.Fchmod(upper, x.mode&0o7777); err != nil {
		return err
	}
	if err := copyXattrs(lower, upper); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(upper, &st); err != nil {
		return err
	}
	root.Mode, root.UID, root.GID, root.Start = st.Mode&0o7777, st.Uid, st.Gid, st.Ctim
	return nil
}

// settle waits until the file systems' clock, which goes in ticks of some milliseconds, has
// passed the start: what the host changes from now on is later.
func (r *Review) settle() error {
	for _, root := range r.Roots {
		if later(root.Copied, root.Start) {
			root.Start = root.Copied // of what settles here
		}
		for tries := 0; ; tries++ {
			var now unix.Timespec
			if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
				return err
			}
			if later(now, root.Start) {
				break
			}
			if tries == 1000 {
				return refuse("", "review %s: its file system's clock is ahead of the machine's", text.Quote(string(root.Path)))
			}
			// Not time.Sleep: the runtime's threads have a coarse timer slack in a launcher.
			if err := unix.Nanosleep(&unix.Timespec{Nsec: 500_000}, nil); err != nil && err != unix.EINTR {
				return err
			}
		}
	}
	return nil
}
