package host

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
)

// Namespace is a namespace that a policy names by a path, opened and checked.
type Namespace struct {
	Kind         ns.Set
	FD           int
	Major, Minor uint32
	Ino          uint64
	// Owner is the user namespace that it belongs to, and OwnerUID the user who
	// made that one, by the caller's numbers; see ioctl_ns(2). OwnerErr is why
	// they are not known: EPERM where it belongs to one above the caller's. A user
	// namespace is asked for none.
	Owner    ns.ID
	OwnerUID uint32
	OwnerErr error
	// Err is why the file is not a namespace.
	Err error
}

// ID is the namespace's identity.
func (s Namespace) ID() ns.ID { return ns.ID{Major: s.Major, Minor: s.Minor, Ino: s.Ino} }

// ProbeNamespaces opens the namespaces that the policy names by path.
func (h *Facts) ProbeNamespaces(n policy.Namespaces) {
	for _, s := range [...]string{n.User, n.Mount, n.PID, n.Net, n.IPC, n.UTS, n.Cgroup, n.Time} {
		if _, have := h.Namespaces[s]; !have && IsPath(s) {
			if h.Namespaces == nil {
				h.Namespaces = make(map[string]Namespace)
				var st unix.Stat_t
				if unix.Stat("/proc/self/ns/user", &st) == nil { // else it is nobody's
					h.UserNS = identity(&st)
				}
			}
			h.Namespaces[s] = h.openNamespace(s)
		}
	}
}

// IsPath says whether namespaces.KIND names a namespace by its path.
func IsPath(say string) bool { return say != "" && say != "new" && say != "host" && say != "auto" }

// openNamespace opens one. The file is opened with O_PATH first and read only if it lies
// on nsfs, because the path could be a device or a FIFO.
func (h *Facts) openNamespace(name string) (s Namespace) {
	fd, err := h.openLast(name)
	if err != nil {
		return Namespace{Err: err}
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return Namespace{Err: err}
	}
	if fs.Type != unix.NSFS_MAGIC {
		return Namespace{Err: Refuse(WrongFile, "it is not a namespace: it does not lie on nsfs")}
	}
	// The name is one of the kernel's, for what is open already.
	if s.FD, err = unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return Namespace{Err: err}
	}
	h.fds = append(h.fds, s.FD)
	kind, err := unix.IoctlRetInt(s.FD, unix.NS_GET_NSTYPE)
	if err != nil {
		return Namespace{Err: fmt.Errorf("ask for its kind: %w", err)}
	}
	var st unix.Stat_t
	if err := unix.Fstat(s.FD, &st); err != nil {
		return Namespace{Err: err}
	}
	s.Kind, s.Major, s.Minor, s.Ino = ns.Set(kind), unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino
	if s.Kind != ns.User {
		s.Owner, s.OwnerUID, s.OwnerErr = owner(s.FD)
	}
	return s
}

// owner asks for the user namespace that a namespace belongs to, and for who
// made that.
func owner(fd int) (id ns.ID, uid uint32, err error) {
	user, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	if err != nil {
		return id, 0, err
	}
	defer unix.Close(user)
	var st unix.Stat_t
	if err := unix.Fstat(user, &st); err != nil {
		return id, 0, err
	}
	uid, err = unix.IoctlGetUint32(user, unix.NS_GET_OWNER_UID)
	return identity(&st), uid, err
}
