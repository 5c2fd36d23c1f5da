package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox"
)

// closedDir is why a directory is no project that another user has called su or sudo in.
const closedDir = "its owner does not let you read it"

// projectDir is the directory to start in as a project, or "" where it cannot be
// one. With why somebody could mean it as one, but not by standing in it: -C says so.
func (l *launch) projectDir(w *where) (project, why string) {
	project = w.project(w.cwd)
	if project == "" || l.Dir != "" {
		return project, ""
	}
	why = policy.NoProject(w.cwd, w.home)
	own := w.account
	if why == "" && own != w.home && own != "/" {
		if place, err := sandbox.Follow("", own); err == nil {
			own = place.Path()
		}
		why = policy.NoProject(w.cwd, own)
	}
	if why == "" && !below(w.cwd, w.home) && !below(w.cwd, own) {
		why = policy.SystemPlace(w.cwd)
	}
	if why == "" && unix.Faccessat(unix.AT_FDCWD, w.cwd, unix.R_OK|unix.X_OK, 0) == unix.EACCES {
		why = closedDir
	}
	if why == "" {
		why = obeyed(w.cwd, w.home, os.Getenv("PATH"))
	}
	if why != "" {
		return "", why
	}
	return project, ""
}

// below says whether the directory lies in a home, other than the root, which is no
// more than the home of those who have none.
func below(dir, home string) bool { return home != "/" && home != "" && policy.Within(dir, home) }

// obeyed says why programs run what lies in the directory, or obey it, by what is
// really there: it is in a directory of search, which is PATH, or in a bare
// repository of git's.
func obeyed(dir, home, search string) string {
	var at [64]unix.Stat_t // of dir and those above it, up to the home
	n := 0
	for up := dir; !policy.Within(home, up) && n < len(at); up = path.Dir(up) {
		if gitDir(up) {
			return "it is in a bare repository of git's, whose settings and hooks are in there"
		}
		if unix.Stat(up, &at[n]) == nil {
			n++
		}
	}
	for entry := range strings.SplitSeq(search, ":") {
		var st unix.Stat_t
		if !path.IsAbs(entry) || unix.Stat(entry, &st) != nil {
			continue
		}
		for _, up := range at[:n] {
			if up.Dev == st.Dev && up.Ino == st.Ino {
				return "it is in a directory of PATH, where programs are run from"
			}
		}
	}
	return ""
}

// gitDir says whether git takes the directory for a repository's own, whatever
// its name is.
func gitDir(dir string) bool {
	bare, _ := policy.BareRepository(func(name string) (bool, error) { // it fails for nothing
		return unix.Faccessat(unix.AT_FDCWD, dir+"/"+name, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) == nil, nil
	})
	return bare
}

// absolute is path as seen from dir, clean.
func absolute(path, dir string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
