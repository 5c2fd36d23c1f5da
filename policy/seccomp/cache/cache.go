// Package cache keeps what libseccomp made of a policy in the user's cache
// directory, so that the next launch with the same policy need not ask again.
//
// It is a convenience only: where it cannot be had, read or written, or was
// tampered with, nothing is kept and nothing is wrong. What comes out of it is
// compared with the policy by package compile before it is used.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxEntry bounds an entry's size, maxEntries their number.
const (
	maxEntry   = 64 << 10
	maxEntries = 256
)

// Dir is a cache in one directory. The zero value keeps nothing.
type Dir struct {
	path string
	file *os.File
	// tried is set once opening was.
	tried bool
}

// User is the cache of the calling user: sbx/filters below $XDG_CACHE_HOME or
// ~/.cache. It is made when first written to.
func User() *Dir {
	base := os.Getenv("XDG_CACHE_HOME")
	if !path.IsAbs(base) {
		home := os.Getenv("HOME")
		if !path.IsAbs(home) {
			return &Dir{}
		}
		base = path.Join(home, ".cache")
	}
	return At(path.Join(base, "sbx/filters"))
}

// At is the cache in a directory, which is made when first written to, with
// its parents.
func At(dir string) *Dir { return &Dir{path: dir} }

// Get returns what was kept under the key, or nil.
func (d *Dir) Get(key [32]byte) []byte {
	if !d.open(false) {
		return nil
	}
	fd, err := unix.Openat(d.fd(), hex.EncodeToString(key[:]), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|
		unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "filter")
	defer f.Close()
	if !private(fd, unix.S_IFREG) {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxEntry+1))
	if err != nil || len(data) < sha256.Size || len(data) > maxEntry {
		return nil
	}
	// A torn or damaged file; nobody else can have written it.
	if sha256.Sum256(data[sha256.Size:]) != [sha256.Size]byte(data) {
		return nil
	}
	return data[sha256.Size:]
}

// Put keeps data under the key, if it can. The entry appears whole or not at
// all, and a launcher that is killed meanwhile leaves nothing behind.
func (d *Dir) Put(key [32]byte, data []byte) {
	if len(data) > maxEntry-sha256.Size || !d.open(true) {
		return
	}
	d.prune()
	fd, err := unix.Openat(d.fd(), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), "filter")
	defer f.Close()
	sum := sha256.Sum256(data)
	if _, err := f.Write(append(sum[:], data...)); err != nil {
		return
	}
	name, self := hex.EncodeToString(key[:]), "/proc/self/fd/"+strconv.Itoa(fd)
	err = unix.Linkat(unix.AT_FDCWD, self, d.fd(), name, unix.AT_SYMLINK_FOLLOW)
	if err == unix.EEXIST {
		// Another launch was faster, or what is there was no good.
		_ = unix.Unlinkat(d.fd(), name, 0)
		_ = unix.Linkat(unix.AT_FDCWD, self, d.fd(), name, unix.AT_SYMLINK_FOLLOW)
	}
}

// open opens the directory, if it is the caller's and nobody else can look
// into it: checked on the descriptor that is used from then on.
func (d *Dir) open(create bool) bool {
	if d.file != nil || d.path == "" {
		return d.file != nil
	}
	if d.tried && !create {
		return false
	}
	d.tried = true
	if create && os.MkdirAll(d.path, 0o700) != nil {
		return false
	}
	fd, err := unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	if !private(fd, unix.S_IFDIR) {
		_ = unix.Close(fd)
		return false
	}
	d.file = os.NewFile(uintptr(fd), d.path)
	return true
}

func (d *Dir) fd() int { return int(d.file.Fd()) }

// private reports whether an open file is of a kind, the caller's, and closed
// to everyone else. The user 65534 goes without: in a user namespace that is
// how everybody is shown whom it does not map.
func private(fd int, kind uint32) bool {
	const overflow = 65534
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == kind &&
		int(st.Uid) == os.Geteuid() && st.Uid != overflow && st.Mode&0o077 == 0
}

// prune empties a cache that has grown large. Entries are cheap to make again.
func (d *Dir) prune() {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return
	}
	names, err := d.file.Readdirnames(-1)
	if err != nil || len(names) < maxEntries {
		return
	}
	for _, name := range names {
		_ = unix.Unlinkat(d.fd(), name, 0)
	}
}

// Close releases the directory.
func (d *Dir) Close() error {
	if d.file == nil {
		return nil
	}
	return d.file.Close()
}
