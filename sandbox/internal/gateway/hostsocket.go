package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// hostSocket is a Unix socket of the host that connections are accepted at.
type hostSocket struct {
	dir      int // of its directory, by O_PATH
	name     string
	dev, ino uint64
}

// errOther is that something else than a socket of the caller's is there.
var errOther = errors.New("there is a file of another kind, or another user's socket")

// listenAt makes the socket in that directory. It listens before it has its name, so nobody
// finds one that does not. The place of one that nobody listens at any more, as a killed
// sbx leaves it, is taken. All is done beneath the directory, and no link is followed.
func listenAt(dir int, name string) (fd int, s *hostSocket, err error) {
	if dir, err = unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return -1, nil, err
	}
	fd = -1
	var made string
	defer func() {
		if err == nil {
			return
		}
		if made != "" {
			err = errors.Join(err, unix.Unlinkat(dir, made, 0))
		}
		if fd >= 0 {
			unix.Close(fd)
		}
		unix.Close(dir)
	}()
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, nil, err
	}
	var random [8]byte
	rand.Read(random[:])
	first := ".sbx-" + hex.EncodeToString(random[:])
	// The one way to name a directory by its descriptor here.
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: byDescriptor(dir) + "/" + first}); err != nil {
		return fd, nil, err
	}
	made = first
	var st unix.Stat_t
	if err = unix.Fstatat(dir, first, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fd, nil, err
	}
	if err = unix.Listen(fd, 4096); err != nil {
		return fd, nil, err
	}
	err = unix.Renameat2(dir, first, dir, name, unix.RENAME_NOREPLACE)
	if err == unix.EEXIST {
		err = takePlace(dir, first, name)
	}
	if err != nil {
		return fd, nil, err
	}
	return fd, &hostSocket{dir: dir, name: name, dev: st.Dev, ino: st.Ino}, nil
}

func byDescriptor(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// takePlace gives the socket the name that another one has, if nobody listens at that. The
// two change places at once, and change back if it was not the one that was looked at: of
// two that are started at the same time one is refused.
func takePlace(dir int, own, name string) error {
	old, err := deadSocket(dir, name)
	if err != nil {
		return err
	}
	if err := unix.Renameat2(dir, own, dir, name, unix.RENAME_EXCHANGE); err != nil {
		return err
	}
	var st unix.Stat_t
	err = unix.Fstatat(dir, own, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && (st.Dev != old.Dev || st.Ino != old.Ino) {
		err = unix.EADDRINUSE
	}
	if err != nil {
		return errors.Join(err, unix.Renameat2(dir, own, dir, name, unix.RENAME_EXCHANGE))
	}
	return unix.Unlinkat(dir, own, 0)
}

// deadSocket is what is there, if it is a socket of the caller's that nobody listens at.
func deadSocket(dir int, name string) (st unix.Stat_t, err error) {
	file, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return st, err
	}
	defer unix.Close(file)
	if err := unix.Fstat(file, &st); err != nil {
		return st, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != unix.Geteuid() {
		return st, errOther
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: byDescriptor(file)}); err != unix.ECONNREFUSED {
		return st, unix.EADDRINUSE
	}
	return st, nil
}

// remove takes the name away, unless it is somebody else's by now.
func (s *hostSocket) remove() error {
	defer unix.Close(s.dir)
	var st unix.Stat_t
	switch err := unix.Fstatat(s.dir, s.name, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return err
	case st.Dev != s.dev || st.Ino != s.ino:
		return nil
	}
	return unix.Unlinkat(s.dir, s.name, 0)
}

// publishSocket is publish for a Unix socket.
func (g *Gateway) publishSocket(p *Published) error {
	fd, s, err := listenAt(p.Dir, path.Base(p.Path))
	if err != nil {
		return &PublishError{p.At(), err}
	}
	g.sockets = append(g.sockets, s)
	g.published = append(g.published, &listener{fd: fd, inner: p.Inner, innerPath: p.InnerPath})
	return nil
}

// removeSockets takes the names of the host's sockets away.
func (g *Gateway) removeSockets() (err error) {
	for _, s := range g.sockets {
		if e := s.remove(); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the socket %q: %w", s.name, e))
		}
	}
	g.sockets = nil
	return err
}
