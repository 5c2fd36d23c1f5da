package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy/bwrap"
)

// makeAll makes what a line wants to have in directories of the host, as bubblewrap does
// in those that can be written. Nothing is made behind a symbolic link: bubblewrap would
// follow it inside the sandbox, and here it may lead anywhere on the host.
func makeAll(list []bwrap.Made) error {
	for i := range list {
		m := &list[i]
		if err := makeOne(m); err != nil {
			return err
		}
	}
	return nil
}

// made is an error in bubblewrap's words.
func made(doing string, m *bwrap.Made, err error) error {
	if errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("%s %s: %w (sbx follows no link of the host's there)", doing, text.Quote(m.Path), said(err))
	}
	return fmt.Errorf("%s %s: %w", doing, text.Quote(m.Path), said(err))
}

// said is an error as strerror(3) has it.
func said(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	s := errno.Error()
	return saidError{strings.ToUpper(s[:1]) + s[1:], errno}
}

type saidError struct {
	text  string
	errno unix.Errno
}

func (e saidError) Error() string { return e.text }
func (e saidError) Unwrap() error { return e.errno }

func makeOne(m *bwrap.Made) error {
	top, err := unix.Openat2(unix.AT_FDCWD, m.Dir, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	if err != nil {
		return made("Can't mkdir parents for", m, err)
	}
	dir, name := path.Split(m.Rel)
	if m.Rel == "" { // it is what the line shows itself
		defer unix.Close(top)
		return finishMade(top, "", m)
	}
	at, err := makeParents(top, dir, m)
	if errors.Is(err, unix.ELOOP) && m.ReadOnly && m.What == bwrap.MakeMountPoint {
		return nil // the launch follows it, or says why not
	}
	if err != nil {
		return made("Can't mkdir parents for", m, err)
	}
	defer unix.Close(at)
	return finishMade(at, name, m)
}

const makeBeneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// makeParents opens a directory below top, and makes it. It closes top.
func makeParents(top int, dir string, m *bwrap.Made) (int, error) {
	for part := range strings.SplitSeq(dir, "/") {
		if part == "" {
			continue
		}
		how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: makeBeneath}
		next, err := unix.Openat2(top, part, &how)
		if errors.Is(err, unix.ENOENT) {
			err = unix.EROFS
			if !m.ReadOnly {
				err = makeDir(top, part, parentMode(m))
			}
			if err == nil {
				next, err = unix.Openat2(top, part, &how)
			}
		}
		unix.Close(top)
		if err != nil {
			return -1, err
		}
		top = next
	}
	return top, nil
}

// parentMode is the mode of directories that are made on the way: whoever may do nothing
// with the last one may do nothing with them.
func parentMode(m *bwrap.Made) uint32 {
	mode := uint32(0o755)
	if m.HasMode && m.Mode&0o070 == 0 {
		mode &^= 0o050
	}
	if m.HasMode && m.Mode&0o007 == 0 {
		mode &^= 0o005
	}
	return mode
}

// makeDir makes a directory with that mode, whatever the umask says.
func makeDir(at int, name string, mode uint32) error {
	if err := unix.Mkdirat(at, name, 0o700); err != nil {
		return err
	}
	return chmodAt(at, name, mode)
}

// chmodAt changes the mode of what has the name, or of the directory itself. It follows no
// link.
func chmodAt(at int, name string, mode uint32) error {
	fd := at
	if name != "" {
		var err error
		fd, err = unix.Openat2(at, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: makeBeneath})
		if err != nil {
			return err
		}
		defer unix.Close(fd)
	}
	return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
}

func finishMade(at int, name string, m *bwrap.Made) error {
	var st unix.Stat_t
	there := true
	if name != "" {
		err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if there = err == nil; err != nil && !errors.Is(err, unix.ENOENT) {
			return made("Can't create file", m, err)
		}
	} else if err := unix.Fstat(at, &st); err != nil {
		return made("Can't create file", m, err)
	}
	kind := st.Mode & unix.S_IFMT
	isDir := m.What == bwrap.MakeDir || m.What == bwrap.MakeMountPoint && m.Source != ""
	var err error
	switch {
	case m.What == bwrap.MakeLink && there:
		return sameLink(at, name, kind, m)
	case m.What == bwrap.MakeMode && !there:
		err = unix.ENOENT
	case m.What == bwrap.MakeMode && !m.ReadOnly:
		err = chmodAt(at, name, m.Mode)
	case m.What == bwrap.MakeMountPoint && there && kind == unix.S_IFLNK:
		return nil // the launch follows it, or says why not
	case there && isDir && kind != unix.S_IFDIR:
		err = unix.ENOTDIR
	case there && m.What != bwrap.MakeMode:
		return nil
	case m.ReadOnly:
		err = unix.EROFS
	case m.What == bwrap.MakeLink:
		err = unix.Symlinkat(m.Target, at, name)
	case isDir:
		err = makeDir(at, name, m.Mode|map[bool]uint32{true: 0o755}[!m.HasMode])
	default:
		err = makeEmpty(at, name)
	}
	if err == nil {
		return nil
	}
	doing := "Can't create file"
	switch m.What {
	case bwrap.MakeLink:
		doing = "Can't make symlink at"
	case bwrap.MakeMode:
		doing = fmt.Sprintf("Can't chmod %#o", m.Mode)
	}
	return made(doing, m, err)
}

func sameLink(at int, name string, kind uint32, m *bwrap.Made) error {
	if kind != unix.S_IFLNK {
		return bwrap.Error("Can't make symlink at " + text.Quote(m.Path) + ": destination exists and is not a symlink")
	}
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(at, name, buf)
	if err != nil {
		return made("Can't make symlink at", m, err)
	}
	if to := string(buf[:n]); to != m.Target {
		return bwrap.Error("Can't make symlink at " + text.Quote(m.Path) + ": existing destination is " + text.Quote(to))
	}
	return nil
}

// makeEmpty makes an empty file, over which something is mounted.
func makeEmpty(at int, name string) error {
	fd, err := unix.Openat2(at, name, &unix.OpenHow{
		Flags: unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_CLOEXEC, Mode: 0o444, Resolve: makeBeneath})
	if err != nil {
		return err
	}
	return os.NewFile(uintptr(fd), name).Close()
}
