package host

import (
	"path"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
)

// Stdio is a descriptor that crosses to the target: one of the standard streams,
// or one that is handed over besides.
type Stdio struct {
	// FD is the launcher's descriptor, and As its number in the target.
	FD, As int
	// Mode is the file type, as in st_mode; 0 where the descriptor is closed, and
	// of what has none.
	Mode        uint32
	Read, Write bool
	// Path says that it is open by O_PATH only, Named that it is a FIFO with a
	// name and not a pipe.
	Path, Named bool
	// Anonymous is what the kernel calls a descriptor without a file type, such as
	// eventfd, or what it is if it has one and is no file; else "".
	Anonymous string
	// Flags are its access mode and its status flags; see F_GETFL in fcntl(2).
	Flags int
	// Owned says that a process of the host's gets signals from it; see F_SETOWN in fcntl(2).
	Owned bool
	// Memory says that it is a memfd that is not sealed against writing.
	Memory bool
	// Terminal says that it is a terminal, and no master of one.
	Terminal bool
	// ID identifies its file, and Rdev is a device file's own number.
	ID   ns.ID
	Rdev uint64
	// OnHost says that its file has a name on the host, and so a mode, an owner
	// and times that others see.
	OnHost bool
	// Source is its file by the path that leads there, if it can be opened by
	// that path just as it is open here; else it is missing.
	Source File
	// Seeks says that it has an offset that counts, which is Offset.
	Seeks  bool
	Offset int64
	// Same is the first descriptor that is the same open file, or one of the same
	// device with the same flags; its own number where there is none before it.
	Same int
	// Metadata is what the file's was, where it was asked for.
	Metadata Metadata
}

// Metadata is what a file has beside its contents. FD is open to it by O_PATH,
// until Facts.Close; 0: it was not asked for.
type Metadata struct {
	FD             int
	Perm, UID, GID uint32
	// Atime and Mtime are seconds and nanoseconds.
	Atime, Mtime [2]int64
	// Attributes are known only with Listed: not all file systems have any, and
	// of more than 64 KiB none are kept.
	Listed     bool
	Attributes []Attribute
}

// Attribute is an extended attribute that the owner of a file may change.
type Attribute struct{ Name, Value string }

// ACL is the attribute that holds a file's access control list; see acl(5).
const ACL = "system.posix_acl_access"

// probeStreams looks at all descriptors that cross.
func (h *Facts) probeStreams(p *policy.Policy, _ *policy.Tree, t Target) error {
	var all []*Stdio
	for fd := range h.Stdio {
		all = append(all, &h.Stdio[fd])
		h.Stdio[fd].FD, h.Stdio[fd].As = fd, fd
		if t.Given != nil {
			h.Stdio[fd].FD = t.Given[fd]
		}
	}
	fds, _ := t.crossing(p)
	h.Kept = make([]Stdio, 0, len(fds))
	for _, fd := range fds {
		h.Kept = append(h.Kept, Stdio{FD: fd, As: fd})
	}
	for i, fd := range t.Given {
		if i > 2 && fd >= 0 {
			h.Kept = append(h.Kept, Stdio{FD: fd, As: i})
		}
	}
	for i := range h.Kept {
		all = append(all, &h.Kept[i])
	}
	ownMounts := p.Namespaces.OwnMounts()
	for i, s := range all {
		s.Same = s.FD
		var st unix.Stat_t
		flags, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFL, 0)
		if err != nil || unix.Fstat(s.FD, &st) != nil {
			continue // it is closed, which crosses too
		}
		s.describe(flags, &st)
		if s.Mode == 0 && !s.Path {
			s.Anonymous = anonymous(s.FD)
		} else if s.Mode == unix.S_IFREG && !s.Path {
			s.Anonymous = acting(s.FD, &st)
		}
		if !s.OnHost {
			continue
		}
		for _, first := range all[:i] {
			if first.OnHost && s.same(first) {
				s.Same = first.Same
				break
			}
		}
		if ownMounts {
			if s.Source = h.device(*s); s.Source.Mode != 0 {
				continue
			}
			s.Source = h.source(*s)
		}
		s.Metadata = h.metadata(s.FD, &st)
	}
	return nil
}

func (s *Stdio) describe(flags int, st *unix.Stat_t) {
	access := flags & unix.O_ACCMODE
	s.Mode, s.Flags = st.Mode&unix.S_IFMT, flags
	s.Read, s.Write = access != unix.O_WRONLY, access != unix.O_RDONLY
	s.Path = flags&unix.O_PATH != 0
	s.Owned = !s.Path && owned(s.FD)
	s.ID, s.Rdev = ns.ID{Major: unix.Major(st.Dev), Minor: unix.Minor(st.Dev), Ino: st.Ino}, st.Rdev
	switch s.Mode {
	case unix.S_IFREG:
		s.OnHost, s.Seeks = st.Nlink > 0, true
		s.Memory = !s.OnHost && !s.Path && unsealed(s.FD)
	case unix.S_IFBLK:
		s.OnHost, s.Seeks = true, true
	case unix.S_IFCHR:
		s.OnHost = true
		_, err := unix.IoctlGetTermios(s.FD, unix.TCGETS)
		_, master := unix.IoctlGetUint32(s.FD, unix.TIOCGPTN)
		s.Terminal = err == nil && master != nil
	case unix.S_IFIFO:
		s.Named = fifoNamed(s.FD)
		s.OnHost = s.Named
	}
	// By O_PATH a directory leads to as much.
	s.OnHost = s.OnHost && !s.Path || s.Mode == unix.S_IFDIR
	if s.Seeks {
		var err error
		if s.Offset, err = unix.Seek(s.FD, 0, unix.SEEK_CUR); err != nil {
			s.Seeks, s.Offset = false, 0
		}
	}
}

// anonymous is what the kernel calls a descriptor without a file type; "?" where it does
// not say.
func anonymous(fd int) string {
	name, err := readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if name = strings.Trim(strings.TrimPrefix(name, "anon_inode:"), "[]"); err != nil || name == "" {
		return "?"
	}
	return name
}

// acting is what a descriptor with the type of a file is, if it is none but something of the
// kernel's by which its maker's powers are used; else "".
func acting(fd int, st *unix.Stat_t) string {
	var fs unix.Statfs_t
	if st.Size != 0 || unix.Fstatfs(fd, &fs) != nil {
		return ""
	}
	switch fs.Type {
	case unix.NSFS_MAGIC:
		return "namespace"
	case unix.PROC_SUPER_MAGIC:
		name, err := readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil || ofProcess(name) && path.Base(name) == "mem" {
			return "memory of a process"
		}
	}
	return ""
}

// OpenFlags are those by which opening its file once more gives the like. Not
// O_NOATIME, which only the owner may ask for: it is for read-only mounts, on
// which no time of access is kept.
func (s Stdio) OpenFlags() int {
	return s.Flags & (unix.O_ACCMODE | unix.O_APPEND | unix.O_NONBLOCK | unix.O_SYNC | unix.O_DIRECT | unix.O_PATH |
		unix.O_DIRECTORY)
}

// unsealed says whether a file without a name is a memfd that can be written. The kernel
// keeps the name of another file that is gone, whose directory is not the root.
func unsealed(fd int) bool {
	name, err := readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil || !strings.HasPrefix(name, "/memfd:") {
		return false
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err != nil || seals&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) == 0
}

// owned says whether the descriptor has an owner, which the kernel signals.
func owned(fd int) bool {
	var owner struct{ kind, pid int32 } // struct f_owner_ex
	_, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_GETOWN_EX, uintptr(unsafe.Pointer(&owner)))
	return errno == 0 && owner.pid != 0
}

// fifoNamed says whether a FIFO has a name, and so is no pipe of the kernel's own.
func fifoNamed(fd int) bool {
	const pipefs = 0x50495045 // PIPEFS_MAGIC
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && st.Type != pipefs
}

// same says whether the two are one open file, or need not be told apart.
func (s *Stdio) same(x *Stdio) bool {
	if s.ID != x.ID || s.Flags != x.Flags {
		return false
	}
	if !s.Seeks {
		return true // there is no offset to share
	}
	const kcmpFile = 0
	pid := uintptr(unix.Getpid())
	order, _, errno := unix.RawSyscall6(unix.SYS_KCMP, pid, pid, kcmpFile, uintptr(s.FD), uintptr(x.FD), 0)
	if errno != 0 { // a kernel without CONFIG_KCMP, or an outer filter
		return s.Offset == x.Offset
	}
	return order == 0
}

// device is the device of the sandbox's own /dev that the descriptor is, if it
// is one.
func (h *Facts) device(s Stdio) File {
	if s.Mode != unix.S_IFCHR {
		return File{}
	}
	for i, name := range Devices {
		if f := h.Files["/dev/"+name]; s.Rdev == deviceNumbers[i] && f.IsDevice(i) && f.ID() == s.ID {
			return f
		}
	}
	return File{}
}

// source is the descriptor's file by its path, if opening it once more gives
// what the descriptor is. That is not so with many a driver, with what is open
// for writing, whose offset cannot be carried over, and with files of processes.
func (h *Facts) source(s Stdio) File {
	switch {
	case s.Mode == unix.S_IFREG && !s.Write, s.Mode == unix.S_IFBLK, s.Mode == unix.S_IFDIR, s.Named, s.Terminal:
	case s.Mode == unix.S_IFCHR && isDevice(s.Rdev):
	default:
		return File{}
	}
	name, err := readlink("/proc/self/fd/" + strconv.Itoa(s.FD))
	if err != nil || !strings.HasPrefix(name, "/") || len(name) >= unix.PathMax-1 || ofProcess(name) {
		return File{}
	}
	f := h.look(name)
	if f.Real != name || f.Mode != s.Mode || f.ID() != s.ID || f.Rdev != s.Rdev {
		return File{} // the path leads elsewhere by now
	}
	// Whether it can be: the caller may have got the descriptor from somebody
	// who may more, and a terminal may be somebody's alone.
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(f.FD),
		s.OpenFlags()|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return File{}
	}
	unix.Close(fd)
	return f
}

func isDevice(rdev uint64) bool {
	for _, n := range deviceNumbers {
		if n == rdev {
			return true
		}
	}
	return false
}

// ofProcess says whether the path is below /proc/PID, whose files depend on who
// opens them.
func ofProcess(name string) bool {
	rest, ok := strings.CutPrefix(name, "/proc/")
	return ok && rest != "" && rest[0] >= '0' && rest[0] <= '9'
}

// metadata is what the descriptor's file has.
func (h *Facts) metadata(of int, st *unix.Stat_t) Metadata {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(of), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return Metadata{}
	}
	h.streams = append(h.streams, fd)
	m := Metadata{
		FD: fd, Perm: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Atime: [2]int64{st.Atim.Sec, st.Atim.Nsec}, Mtime: [2]int64{st.Mtim.Sec, st.Mtim.Nsec},
	}
	m.Attributes, m.Listed = attributes("/proc/self/fd/" + strconv.Itoa(fd))
	return m
}

// attributes are those that the owner of a file may change, if they could be
// read.
func attributes(name string) (list []Attribute, ok bool) {
	const most = 1 << 16 // XATTR_LIST_MAX, XATTR_SIZE_MAX
	n, err := unix.Listxattr(name, nil)
	if err != nil || n == 0 {
		return nil, err == nil
	}
	buf := make([]byte, most)
	if n, err = unix.Listxattr(name, buf); err != nil {
		return nil, false
	}
	total := 0
	for attr := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if attr != ACL && !strings.HasPrefix(attr, "user.") {
			continue
		}
		n, err := unix.Getxattr(name, attr, buf)
		if total += len(attr) + n; err != nil || total > most {
			return nil, false
		}
		list = append(list, Attribute{attr, string(buf[:n])})
	}
	return list, true
}
