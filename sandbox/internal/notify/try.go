package notify

import (
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/policy/explain"
)

// trial looks at what becomes of the use of a path, as the kernel would, from the root of
// the one who asks. Nothing is opened but by O_PATH, or if it is a regular file that is
// executed.
type trial struct {
	l    *Listener
	k    fileKey
	root int
	out  explain.File
}

// try is what becomes of using the path, as far as it is due to what is there. What is
// not certain has not failed.
func (l *Listener) try(k fileKey) (f explain.File, failed bool) {
	root, err := unix.Open(l.proc("root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return f, false
	}
	defer unix.Close(root)
	t := trial{l: l, k: k, root: root}
	if k.other != "" {
		t.across()
	} else {
		t.use()
	}
	return t.out, t.out.Answer != 0
}

// fail writes down why it fails. The first reason counts.
func (t *trial) fail(errno unix.Errno, cause explain.Cause) {
	if t.out.Answer == 0 {
		t.out.Answer, t.out.Cause = uint16(errno), cause
	}
}

// place is a file that is open by O_PATH.
type place struct {
	fd   int
	real string // its path inside, without links
	st   unix.Statx_t
	ro   bool
	exec bool // something can be executed in its mount
	dev  bool // devices can be opened in its mount
}

func (p *place) kind() uint16 { return p.st.Mode & unix.S_IFMT }

// open looks at a path below the root.
func (t *trial) open(name string, flags, resolve uint64) (place, unix.Errno) {
	fd, err := openIn(t.root, name, flags, resolve)
	if err != nil {
		errno, _ := err.(unix.Errno)
		return place{fd: -1}, errno
	}
	p := place{fd: fd}
	const what = unix.STATX_BASIC_STATS | unix.STATX_MNT_ID
	var fs unix.Statfs_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, what, &p.st) != nil || unix.Fstatfs(fd, &fs) != nil {
		unix.Close(fd)
		return place{fd: -1}, unix.EINVAL
	}
	p.ro, p.exec, p.dev = fs.Flags&unix.ST_RDONLY != 0, fs.Flags&unix.ST_NOEXEC == 0, fs.Flags&unix.ST_NODEV == 0
	b := make([]byte, unix.PathMax)
	if n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), b); err == nil {
		p.real = string(b[:n])
	}
	return p, 0
}

// openIn opens a path by O_PATH, with root for the root.
func openIn(root int, name string, flags, resolve uint64) (int, error) {
	if name == "/" {
		return unix.Openat(root, ".", unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	return unix.Openat2(root, strings.TrimPrefix(name, "/"), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
	})
}

// use is the use of one path.
func (t *trial) use() {
	k := &t.k
	flags, resolve := uint64(0), uint64(0)
	if k.NoFollow || k.Straight || k.New {
		flags = unix.O_NOFOLLOW
	}
	if k.NoLinks {
		resolve = unix.RESOLVE_NO_SYMLINKS
	}
	p, errno := t.open(k.path, flags, resolve)
	if errno == 0 {
		defer unix.Close(p.fd)
	}
	makes := k.Access == explain.Makes && (errno == unix.ENOENT || !k.Opens || k.New)
	switch {
	case errno == unix.ELOOP && k.NoLinks:
		t.loop()
	case errno == unix.ELOOP:
		// A magic link of /proc, and where that leads depends on who follows.
	case errno == 0 && k.Straight && p.kind() == unix.S_IFLNK:
		t.out.At = k.path
		t.fail(unix.ELOOP, explain.ALink)
	case k.New && errno == 0:
		// EEXIST, with or without a sandbox.
	case errno != 0 && errno != unix.ENOENT, errno != 0 && !makes, errno != 0 && k.Removes:
		t.missing(errno)
	case makes:
		t.parent(k.Removes || errno == 0 && !k.New)
		if errno == 0 && t.out.Answer == 0 && p.st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
			t.fail(unix.EBUSY, explain.Mounted)
		}
	default:
		t.file(&p)
	}
}

// missing is a path that is not there, or that the launcher cannot reach either.
func (t *trial) missing(errno unix.Errno) {
	if errno == unix.EACCES {
		t.out.At = path.Dir(t.k.path)
		t.fail(errno, explain.Modes)
		return
	}
	if t.search(path.Dir(t.k.path)) {
		t.fail(errno, explain.Plain)
	}
}

// loop finds out whether the path leads anywhere with links.
func (t *trial) loop() {
	p, errno := t.open(t.k.path, 0, 0)
	if errno != 0 {
		return
	}
	unix.Close(p.fd)
	t.out.At = t.k.path
	t.fail(unix.ELOOP, explain.ALink)
}

// parent is the directory in which a name is made, replaced or removed. removes says that
// it is there.
func (t *trial) parent(removes bool) {
	dir := path.Dir(t.k.path)
	p, errno := t.open(dir, 0, 0)
	if errno != 0 {
		t.missing(errno)
		return
	}
	defer unix.Close(p.fd)
	const makeReg, removeFile = unix.LANDLOCK_ACCESS_FS_MAKE_REG, unix.LANDLOCK_ACCESS_FS_REMOVE_FILE
	right := uint64(makeReg)
	if removes {
		right = removeFile
	}
	switch {
	case !t.search(path.Dir(p.real)):
	case p.ro:
		t.fail(unix.EROFS, explain.Plain)
	case !t.may(&p, unix.W_OK|unix.X_OK):
		t.out.At = dir
		t.fail(unix.EACCES, explain.Modes)
	case !t.allows(&p, right):
		t.out.At = dir
		t.fail(unix.EACCES, explain.Landlock)
	}
}

// file is a file that is there.
func (t *trial) file(p *place) {
	k := &t.k
	regular, dir := p.kind() == unix.S_IFREG, p.kind() == unix.S_IFDIR
	device := p.kind() == unix.S_IFCHR || p.kind() == unix.S_IFBLK
	writes := k.Need&unix.W_OK != 0 || k.Access == explain.Writes
	right := uint64(0)
	for _, x := range [...]struct {
		on    bool
		right uint64
	}{
		{k.Opens && k.Need&unix.R_OK != 0 && dir, unix.LANDLOCK_ACCESS_FS_READ_DIR},
		{k.Opens && k.Need&unix.R_OK != 0 && !dir, unix.LANDLOCK_ACCESS_FS_READ_FILE},
		{k.Opens && k.Need&unix.W_OK != 0 && !dir, unix.LANDLOCK_ACCESS_FS_WRITE_FILE},
		{k.Runs, unix.LANDLOCK_ACCESS_FS_EXECUTE},
	} {
		if x.on {
			right |= x.right
		}
	}
	switch {
	case !t.search(path.Dir(p.real)):
	case k.Opens && k.Need != 0 && p.kind() == unix.S_IFSOCK:
		t.fail(unix.ENXIO, explain.ASocket)
	case k.Runs && !regular:
		// EACCES, with or without a sandbox.
	case k.Runs && !p.exec:
		t.fail(unix.EACCES, explain.NoExec)
	case k.Opens && k.Need != 0 && device && !p.dev:
		t.fail(unix.EACCES, explain.NoDevices)
	case !t.may(p, uint32(k.Need)):
		t.fail(unix.EACCES, explain.Modes)
	case writes && (regular || dir) && p.ro:
		t.fail(unix.EROFS, explain.Plain) // devices, pipes and sockets may be written to nevertheless
	case !t.allows(p, right):
		t.fail(unix.EACCES, explain.Landlock)
	case k.Opens && device && isTTY(p) && t.l.noTerminal():
		t.fail(unix.ENXIO, explain.NoTerminal)
	case k.OneMount:
		t.oneMount(p)
	case k.Runs:
		t.interpreter(p)
	}
}

// isTTY says that it is /dev/tty, the controlling terminal.
func isTTY(p *place) bool {
	return p.st.Rdev_major == 5 && p.st.Rdev_minor == 0 && p.kind() == unix.S_IFCHR
}

// noTerminal says that the one who asks has no controlling terminal.
func (l *Listener) noTerminal() bool {
	stat, err := sys.ReadFile(l.proc("stat"))
	if err != nil {
		return false
	}
	_, rest, ok := cutLast(stat, ")") // behind the name, which may have anything in it
	f := strings.Fields(rest)
	const terminal = 4 // of those behind the name
	return ok && len(f) > terminal && f[terminal] == "0"
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// across is a file that is to be renamed or linked from one mount to another.
func (t *trial) across() {
	from := t.k.path
	if t.k.Removes { // a rename, which is about the directories
		from = path.Dir(from)
	}
	a, errno := t.open(from, unix.O_NOFOLLOW, 0)
	if errno != 0 {
		return
	}
	defer unix.Close(a.fd)
	b, errno := t.open(path.Dir(t.k.other), 0, 0)
	if errno != 0 {
		return
	}
	defer unix.Close(b.fd)
	if a.st.Mask&b.st.Mask&unix.STATX_MNT_ID != 0 && a.st.Mnt_id != b.st.Mnt_id && a.real != "" {
		t.out.At = t.k.other
		t.fail(unix.EXDEV, explain.Across)
	}
}

// oneMount is a file that is to lie in the mount of the directory that the way begins at.
func (t *trial) oneMount(p *place) {
	dir := "cwd"
	if fd := int32(t.l.request.Args[0]); fd != unix.AT_FDCWD {
		dir = "fd/" + strconv.Itoa(int(fd))
	}
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, t.l.proc(dir), unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
	if err == nil && st.Mask&p.st.Mask&unix.STATX_MNT_ID != 0 && st.Mnt_id != p.st.Mnt_id {
		b := make([]byte, unix.PathMax)
		if n, err := unix.Readlink(t.l.proc(dir), b); err == nil {
			t.out.At = string(b[:n])
		}
		t.fail(unix.EXDEV, explain.Across)
	}
}
