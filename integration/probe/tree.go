package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tree says of each path what can be done there, does all kinds of harm below
// DIR as SEED has it, says it again, and then of all that it comes to below DIR.
// A seed of 0 does no harm.
func tree(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("SEED DIR PATH... expected")
	}
	seed, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err
	}
	dir, paths := args[1], args[2:]
	for _, p := range paths {
		survey("before", p)
	}
	if seed != 0 {
		harm(dir, rand.New(rand.NewPCG(seed, 1)))
	}
	for _, p := range paths {
		survey("after", p)
	}
	for _, p := range reachable(dir) {
		survey("all", p)
	}
	return nil
}

// survey prints one line: when, the path, its kind, what can be done, and how
// the file begins. r: read or list, w: write or make something in it, x: execute,
// m: change the mode.
func survey(when, p string) {
	var st unix.Stat_t
	kind, can, token := "-", "", ""
	if unix.Lstat(p, &st) == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			kind, can = "d", surveyDir(p)
		case unix.S_IFREG:
			kind = "f"
			can, token = surveyFile(p)
		case unix.S_IFLNK:
			kind = "l"
		default:
			kind = "?"
		}
		if kind != "l" && unix.Chmod(p, st.Mode&0o7777) == nil {
			can += "m"
		}
	}
	fmt.Printf("%s\t%s\t%s\t%s\t%s\n", when, p, kind, can, token)
}

func surveyDir(p string) (can string) {
	if _, err := os.ReadDir(p); err == nil {
		can = "r"
	}
	made := filepath.Join(p, "probe-made")
	if fd, err := unix.Open(made, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600); err == nil {
		unix.Close(fd)
		can += "w"
		unix.Unlink(made)
	}
	return can
}

func surveyFile(p string) (can, token string) {
	if data, err := os.ReadFile(p); err == nil {
		can = "r"
		line, _, _ := bytes.Cut(data, []byte("\n"))
		token = string(line[:min(len(line), 100)])
	}
	if fd, err := unix.Open(p, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
		unix.Close(fd)
		can += "w"
	}
	if unix.Access(p, unix.X_OK) == nil {
		can += "x"
	}
	return can, token
}

// reachable is all that can be listed from the directory on, without links.
func reachable(dir string) (list []string) {
	filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if len(list) < 2000 && err == nil {
			list = append(list, p)
		}
		return nil
	})
	return list
}

// harm does what a hostile program does with names, modes and contents. What is
// refused is refused.
func harm(dir string, r *rand.Rand) {
	names := []string{"a", "b", "c", "d"}
	for range 40 {
		all := reachable(dir)
		if len(all) == 0 {
			return
		}
		some := func() string { return all[r.IntN(len(all))] }
		fresh := func() string { return filepath.Join(some(), names[r.IntN(len(names))]) }
		p, to := some(), some()
		if r.IntN(4) == 0 {
			to = strings.TrimPrefix(to, dir+"/")
		}
		switch r.IntN(12) {
		case 0:
			unix.Rename(p, fresh())
		case 1:
			unix.Rename(p, to)
		case 2:
			unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, some(), unix.RENAME_EXCHANGE)
		case 3:
			unix.Symlink(to, fresh())
		case 4, 5: // a link in its place
			if unix.Rename(p, p+"~") == nil {
				unix.Symlink(to, p)
			}
		case 6:
			unix.Link(p, fresh())
		case 7:
			unix.Mkdir(fresh(), 0o755)
		case 8:
			unix.Chmod(p, []uint32{0, 0o300, 0o500, 0o777}[r.IntN(4)])
		case 9:
			if unix.Unlink(p) != nil && r.IntN(2) == 0 {
				unix.Rmdir(p)
			}
		case 10:
			write(fresh(), unix.O_CREAT|unix.O_EXCL)
		case 11:
			write(p, unix.O_APPEND)
		}
	}
	// And all that can be written is.
	for _, p := range reachable(dir) {
		write(p, unix.O_APPEND)
	}
}

func write(p string, flags int) {
	fd, err := unix.Open(p, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|flags, 0o755)
	if err != nil {
		return
	}
	unix.Write(fd, []byte("\nevil\n"))
	unix.Close(fd)
}
