// Package cache keeps what is costly to find out in a directory of the user's, so that the
// next launch need not do it again: what libseccomp made of a policy, and what a search of a
// large project came upon.
//
// It is a convenience only: where it cannot be had, read or written, or was
// damaged, nothing is kept and nothing is wrong. Whether what comes out of it can be believed is
// its user's business: package compile compares a filter with the policy, and package host keeps
// searches where no target can write.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
)

// Limits bound a cache.
type Limits struct {
	// Entry is the most bytes of an entry, with its checksum, Entries the most entries.
	Entry, Entries int
}

// Filters are the limits of a cache of filters.
var Filters = Limits{Entry: 64 << 10, Entries: 256}

// Dir is a cache in one directory. The zero value keeps nothing.
type Dir struct {
	limits Limits
	// base is a directory that the caller vouches for, wherever links on the way
	// lead; below it the directory is walked to without any: somebody else may
	// have put them there.
	base, below string
	file        *os.File
	// tried is set once opening was.
	tried bool
}

// User is the cache of the calling user: sbx/filters below $XDG_CACHE_HOME or
// ~/.cache. It is made when first written to. Where a symbolic link stands on the
// way, below the home or outside of it, there is no cache.
func User() *Dir {
	home, cache := os.Getenv("HOME"), os.Getenv("XDG_CACHE_HOME")
	if !path.IsAbs(home) {
		home = ""
	}
	switch {
	case path.IsAbs(cache):
		if below, ok := strings.CutPrefix(path.Clean(cache), path.Clean(home)+"/"); ok && home != "" {
			return Below(home, path.Join(below, "sbx/filters"), Filters)
		}
		return At(path.Join(cache, "sbx/filters"))
	case home != "":
		return Below(home, ".cache/sbx/filters", Filters)
	}
	return &Dir{}
}

// At is the cache of filters in a directory, given by its absolute path, which is made when
// first written to, with its parents. No link may stand on the way.
func At(dir string) *Dir {
	return Below("/", strings.TrimPrefix(path.Clean(dir), "/"), Filters)
}

// Below is the cache in a directory below base, which is made when first written to, with the
// directories between the two. The caller vouches for base, wherever links in it lead; no link
// may stand below.
func Below(base, below string, limits Limits) *Dir {
	return &Dir{base: base, below: below, limits: limits}
}

// Get returns what was kept under the key, or nil.
func (d *Dir) Get(key [32]byte) []byte {
	if !d.open(false) {
		return nil
	}
	fd, err := sys.OpenRegular(d.fd(), hex.EncodeToString(key[:]), unix.O_NOFOLLOW)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "filter")
	defer f.Close()
	if !private(fd, unix.S_IFREG) {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(d.limits.Entry)+1))
	if err != nil || len(data) < sha256.Size || len(data) > d.limits.Entry {
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
	if len(data) > d.limits.Entry-sha256.Size || !d.open(true) {
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
	if d.file != nil || d.below == "" {
		return d.file != nil
	}
	if d.tried && !create {
		return false
	}
	d.tried = true
	base, err := unix.Open(d.base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(base)
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := unix.Openat2(base, d.below, &how)
	if err == unix.ENOENT && create {
		parts := strings.Split(d.below, "/")
		for i := range parts { // what is there already stays as it is
			_ = mkdirBelow(base, path.Join(parts[:i]...), parts[i])
		}
		fd, err = unix.Openat2(base, d.below, &how)
	}
	if err != nil {
		return false
	}
	if !private(fd, unix.S_IFDIR) {
		_ = unix.Close(fd)
		return false
	}
	d.file = os.NewFile(uintptr(fd), path.Join(d.base, d.below))
	return true
}

// mkdirBelow makes a directory in one below base, to which no link leads.
func mkdirBelow(base int, in, name string) error {
	at, err := unix.Openat2(base, path.Join(".", in), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return unix.Mkdirat(at, name, 0o700)
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
// Only what has a name as Put gives it is an entry.
func (d *Dir) prune() {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return
	}
	names, err := d.file.Readdirnames(-1)
	if err != nil {
		return
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !isKey(name) })
	if len(names) < d.limits.Entries {
		return
	}
	for _, name := range names {
		_ = unix.Unlinkat(d.fd(), name, 0)
	}
}

// isKey says whether the name is a key's: 64 digits, lower-case hexadecimal.
func isKey(name string) bool {
	key, err := hex.DecodeString(name)
	return err == nil && len(key) == sha256.Size && hex.EncodeToString(key) == name
}

// Close releases the directory. It is opened again when it is needed again.
func (d *Dir) Close() error {
	if d.file == nil {
		return nil
	}
	file := d.file
	d.file, d.tried = nil, false
	return file.Close()
}
