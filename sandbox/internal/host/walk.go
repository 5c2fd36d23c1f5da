package host

import (
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/ns"
)

// mostLinks is as many as the kernel follows, see path_resolution(7).
const mostLinks = 40

// link is a symbolic link that a path went through.
type link struct {
	// name is its path without other links in it, to what it says.
	name, to string
	// uid is its owner. dir is the directory that holds it.
	uid uint32
	dir *heldDir
	// magic says that the kernel made it for a process in /proc: where it leads
	// is no path.
	magic bool
}

// heldDir is a directory that was entered component by component.
type heldDir struct {
	fd   int
	real string
	st   unix.Stat_t
	up   *heldDir // nil for the root
}

// below says whether it is the directory of that path or identity, or lies in
// one. The identity finds a directory that is mounted under a second name.
func (d *heldDir) below(real string, id ns.ID) bool {
	for ; d != nil; d = d.up {
		if d.real == real || id != (ns.ID{}) && identity(&d.st) == id {
			return true
		}
	}
	return false
}

// opened is what a path led to. The descriptor is the caller's to close.
type opened struct {
	fd    int
	st    unix.Stat_t
	real  string // the path without links
	text  string // what the link at the path's end says, if there is one
	links []link
}

// walker opens paths of the host and tells by which links it went. What it opens
// by path it opens where no link is on the way (openat2(2), Linux 5.6), and each
// link by the descriptor of the directory that holds it. So nothing that is
// renamed meanwhile can show one owner and lead elsewhere.
type walker struct {
	dirs map[string]*heldDir // by real path
}

// open opens a path by O_PATH. Most have no link on the way, which takes one
// call to find out. A path that is not absolute is EINVAL.
func (w *walker) open(name string) (o opened, err error) {
	if !path.IsAbs(name) {
		return o, unix.EINVAL
	}
	at := name
	for tries := 0; tries < 2*mostLinks; tries++ {
		how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_NO_SYMLINKS}
		fd, err := unix.Openat2(unix.AT_FDCWD, at, &how)
		if err == nil {
			if err := unix.Fstat(fd, &o.st); err != nil {
				unix.Close(fd) // opened with O_PATH: nothing to lose
				return o, err
			}
			if o.st.Mode&unix.S_IFMT != unix.S_IFLNK {
				o.fd, o.real = fd, path.Clean(at) // no link is in it, so ".." is the directory above
				return o, nil
			}
		}
		var l link
		var rest string
		switch err {
		case nil: // a link at its end
			l, err = w.linkAt(path.Clean(at), fd, &o.st)
			unix.Close(fd)
		case unix.ELOOP:
			l, rest, err = w.firstLink(at)
		}
		switch {
		case err == unix.ESTALE: // it was replaced meanwhile
			l, rest, err = w.firstLink(at)
		case err == nil && len(o.links) == 0 && rest == "" && l.name == name:
			o.text = l.to
		}
		if err == nil && len(o.links) == mostLinks {
			err = unix.ELOOP
		}
		if err != nil {
			return o, err
		}
		if at, err = w.beyond(&l, rest); err != nil {
			return o, err
		}
		if l.name != "" {
			o.links = append(o.links, l)
		}
	}
	return o, unix.ESTALE // the path is being renamed all the time
}

// beyond is the path that is left when the link was followed. It is not clean: a
// ".." after another link is not the directory above that.
func (w *walker) beyond(l *link, rest string) (string, error) {
	to := l.to
	switch {
	case l.name == "": // there is none any more
		return rest, nil
	case strings.HasPrefix(l.name, "/proc/"):
		// What the text of such a link says need not be where it leads.
		fd, err := unix.Openat(l.dir.fd, path.Base(l.name), unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		defer unix.Close(fd)
		if ownDescriptor(l.name) {
			return "", unix.ENOENT
		}
		if to, err = readlink("/proc/self/fd/" + strconv.Itoa(fd)); err != nil {
			return "", err
		}
		l.magic = true
	}
	if !path.IsAbs(to) {
		to = strings.TrimSuffix(l.dir.real, "/") + "/" + to
	}
	if rest != "" {
		to += "/" + rest
	}
	return to, nil
}

// ownDescriptor says whether the path in /proc is a descriptor that sbx has opened itself:
// all of those are close-on-exec, and none that the caller handed over is. They mean
// nothing to the caller.
func ownDescriptor(name string) bool {
	n, err := strconv.Atoi(path.Base(name))
	if err != nil || !strings.HasPrefix(name, "/proc/"+strconv.Itoa(unix.Getpid())+"/") ||
		path.Base(path.Dir(name)) != "fd" {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC != 0
}

// linkAt describes the link that fd is open to, and that was at the path. It is
// ESTALE where the directory of that path does not hold it.
func (w *walker) linkAt(name string, fd int, st *unix.Stat_t) (link, error) {
	dir, err := w.directory(path.Dir(name))
	if err != nil {
		return link{}, unix.ESTALE
	}
	var there unix.Stat_t
	if unix.Fstatat(dir.fd, path.Base(name), &there, unix.AT_SYMLINK_NOFOLLOW) != nil || identity(&there) != identity(st) {
		return link{}, unix.ESTALE
	}
	to, err := readlinkat(fd)
	return link{name: name, to: to, uid: st.Uid, dir: dir}, err
}

// firstLink is the first link on the way, and what of the path comes after it.
// If there is none any more, its name is empty and rest the whole path.
func (w *walker) firstLink(name string) (l link, rest string, err error) {
	dir, err := w.directory("/")
	if err != nil {
		return l, "", err
	}
	rest = name
	for rest != "" {
		part, after, _ := strings.Cut(rest, "/")
		rest = after
		switch part {
		case "", ".":
			continue
		case "..":
			if dir.up != nil {
				dir = dir.up
			}
			continue
		}
		fd, err := unix.Openat(dir.fd, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return l, "", err
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			l = link{name: path.Join(dir.real, part), uid: st.Uid, dir: dir}
			l.to, err = readlinkat(fd)
			unix.Close(fd)
			return l, rest, err
		}
		if err != nil || strings.Trim(rest, "/") == "" {
			unix.Close(fd)
			return l, name, err
		}
		dir = w.hold(dir, path.Join(dir.real, part), fd, &st)
	}
	return l, name, nil
}

// directory enters the directory of a path without links.
func (w *walker) directory(real string) (*heldDir, error) {
	if d := w.dirs[real]; d != nil {
		return d, nil
	}
	var up *heldDir
	at, name := unix.AT_FDCWD, "/"
	if real != "/" {
		var err error
		if up, err = w.directory(path.Dir(real)); err != nil {
			return nil, err
		}
		at, name = up.fd, path.Base(real)
	}
	fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return w.hold(up, real, fd, &st), nil
}

// hold keeps a directory that is open, for the next path that leads there. One
// that has been replaced since is another one.
func (w *walker) hold(up *heldDir, real string, fd int, st *unix.Stat_t) *heldDir {
	if d := w.dirs[real]; d != nil && d.up == up && identity(&d.st) == identity(st) {
		unix.Close(fd)
		return d
	}
	if w.dirs == nil {
		w.dirs = make(map[string]*heldDir)
	}
	if old := w.dirs[real]; old != nil {
		unix.Close(old.fd)
		old.fd = -1 // described still, and entered no more
	}
	d := &heldDir{fd: fd, real: real, st: *st, up: up}
	w.dirs[real] = d
	return d
}

// close lets go of the directories.
func (w *walker) close() {
	for _, d := range w.dirs {
		unix.Close(d.fd)
	}
	w.dirs = nil
}

// readlinkat is what the link says that fd is open to.
func readlinkat(fd int) (string, error) {
	var b [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, "", b[:])
	return string(b[:max(n, 0)]), err
}

func readlink(name string) (string, error) {
	var b [unix.PathMax]byte
	n, err := unix.Readlink(name, b[:])
	return string(b[:max(n, 0)]), err
}
