package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setgid tries every way of giving the set-group-ID bit to directories in DIR, which
// work, and to files, which do not. It says for each what came of it.
func setgid(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want DIR")
	}
	dir := filepath.Join(args[0], "groups")
	if err := os.MkdirAll(filepath.Join(dir, "in"), 0o755); err != nil {
		return err
	}
	if err := os.Chdir(filepath.Join(dir, "in")); err != nil {
		return err
	}
	for _, step := range []func(string) error{groupWays, groupRace} {
		if err := step(dir); err != nil {
			return err
		}
	}
	return nil
}

// chmodAt is fchmodat(2) as it is, or fchmodat2(2) with flags.
func chmodAt(fd int, path string, mode uint32, flags int) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	nr, last := uintptr(unix.SYS_FCHMODAT), uintptr(0)
	if flags >= 0 {
		nr, last = unix.SYS_FCHMODAT2, uintptr(flags)
	}
	_, _, errno := unix.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(p)), uintptr(mode), last, 0, 0)
	return errnoOrNil(errno)
}

const plainAt = -1 // fchmodat has no flags

func groupWays(dir string) error {
	const mode = unix.S_ISGID | 0o750
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for _, kind := range []string{"directory", "file"} {
		n := 0
		try := func(way string, run func(name string, fd int) error) {
			n++
			name := fmt.Sprintf("%s%d", kind, n)
			path := filepath.Join(dir, name)
			make := func() error { return os.Mkdir(path, 0o755) }
			if kind == "file" {
				make = func() error { return os.WriteFile(path, []byte("x"), 0o755) }
			}
			if err := make(); err != nil {
				say(kind+" "+way+": prepare", err)
				return
			}
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				say(kind+" "+way+": open", err)
				return
			}
			defer unix.Close(fd)
			err = run(name, fd)
			say(kind+" "+way, err)
			var st unix.Stat_t
			if e := unix.Fstat(fd, &st); e == nil && err == nil {
				fmt.Printf("%s %s mode: %o\n", kind, way, st.Mode&0o7777)
			}
		}
		try("absolute", func(name string, _ int) error { return chmodAt(-100, filepath.Join(dir, name), mode, plainAt) })
		try("old", func(name string, _ int) error { return unix.Chmod(filepath.Join(dir, name), mode) })
		try("up", func(name string, _ int) error { return chmodAt(-100, "../"+name, mode, plainAt) })
		try("up and down", func(name string, _ int) error { return chmodAt(-100, "../in/../"+name, mode, plainAt) })
		try("descriptor", func(_ string, fd int) error { return unix.Fchmod(fd, mode) })
		try("below", func(name string, _ int) error { return chmodAt(at, name, mode, plainAt) })
		try("below with flags", func(name string, _ int) error { return chmodAt(at, name, mode, unix.AT_SYMLINK_NOFOLLOW) })
		try("empty path", func(_ string, fd int) error { return chmodAt(fd, "", mode, unix.AT_EMPTY_PATH) })
		try("proc", func(_ string, fd int) error {
			return chmodAt(-100, fmt.Sprintf("/proc/self/fd/%d", fd), mode, plainAt)
		})
		try("link", func(name string, _ int) error {
			link := filepath.Join(dir, name+"-link")
			if err := os.Symlink(filepath.Join(dir, name), link); err != nil {
				return err
			}
			return chmodAt(-100, link, mode, plainAt)
		})
		try("high bits", func(name string, _ int) error { return chmodAt(at, name, 1<<16|mode, plainAt) })
		try("thread", func(name string, _ int) error {
			result := make(chan error)
			go func() { result <- chmodAt(at, name, mode, plainAt) }()
			return <-result
		})
	}
	say("link itself", func() error {
		if err := os.Symlink("directory1", filepath.Join(dir, "itself")); err != nil {
			return err
		}
		return chmodAt(at, "itself", mode, unix.AT_SYMLINK_NOFOLLOW)
	}())
	say("set-user-ID directory", chmodAt(at, "directory1", unix.S_ISUID|mode, plainAt))
	say("missing", chmodAt(at, "missing", mode, plainAt))
	say("below a file", chmodAt(at, "file1/x", mode, plainAt))
	say("no descriptor", chmodAt(999, "x", mode, plainAt))
	say("no address", func() error {
		_, _, errno := unix.Syscall(unix.SYS_FCHMODAT, uintptr(at), 1, mode)
		return errnoOrNil(errno)
	}())
	say("of another's process", chmodAt(-100, "/proc/1/root", mode, plainAt))
	return nil
}

// groupRace has a name mean a directory and a file in turn, while the bit is set by
// that name. No file gets it.
func groupRace(dir string) error {
	a, b := filepath.Join(dir, "race"), filepath.Join(dir, "race-file")
	if err := os.Mkdir(a, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(b, []byte("x"), 0o755); err != nil {
		return err
	}
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
		}
	}()
	set := 0
	for range 2000 {
		if chmodAt(-100, a, unix.S_ISGID|0o755, plainAt) == nil {
			set++
		}
	}
	stop.Store(true)
	<-done
	file := false
	for _, name := range []string{a, b} {
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		file = file || st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0
	}
	fmt.Printf("race: set sometimes %v, a file has it %v\n", set > 0, file)
	return nil
}

// beneath makes or reads a file as current tar does.
func beneath(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want DIR NAME")
	}
	dir, err := unix.Open(args[0], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	how := unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY | unix.O_CLOEXEC, Mode: 0o644, Resolve: unix.RESOLVE_BENEATH}
	if unix.Faccessat(dir, args[1], unix.F_OK, 0) == nil {
		how = unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH}
	}
	fd, err := unix.Openat2(dir, args[1], &how)
	say("openat2", err)
	if err == nil && how.Mode != 0 {
		_, err = unix.Write(fd, []byte("x"))
		say("write", err)
	}
	_, err = unix.Openat2(dir, "..", &unix.OpenHow{Flags: unix.O_PATH, Resolve: unix.RESOLVE_BENEATH})
	say("beyond", err)
	return nil
}
