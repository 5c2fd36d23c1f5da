package process

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Private is the directory, of a random name, that the launcher makes for the target's
// home and temporary files where there is no mount namespace, and removes at the end.
type Private struct {
	// Parent is the directory that it is made in, open at FD.
	Parent string
	FD     int
	// Dirs are the directories in it. Links are links in the first of them to what the
	// policy shows.
	Dirs  []string
	Links [][2]string
}

func (p Private) String() string {
	return "make a private directory of a random name in " + text.Quote(p.Parent) + ", for " +
		strings.Join(p.Dirs, " and ")
}

func (Private) Kind() string { return "make-private-directory" }

// Compile makes no call: the launcher makes the directory in Go, before it forks.
func (Private) Compile(*step.Asm) {}

// ChdirPrivate changes to a directory in the private one.
type ChdirPrivate struct{ Dir string }

func (c ChdirPrivate) String() string { return "change to the private directory " + text.Quote(c.Dir) }

func (ChdirPrivate) Kind() string { return "chdir-private" }

// Compile opens the directory by the descriptor of the private one.
func (c ChdirPrivate) Compile(a *step.Asm) {
	fd := a.Temp()
	a.Openat2(step.Fd(unix.AT_FDCWD), path.Join(a.Private.Path, c.Dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC,
		unix.RESOLVE_NO_SYMLINKS).To(fd)
	a.Sys(unix.SYS_FCHDIR, fd.Arg())
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// env is the environment with the variables that name the private directories.
func (e Exec) env(dir string) []string {
	if len(e.Private) == 0 {
		return e.Env
	}
	var env []string
	for _, v := range e.Env {
		name, _, _ := strings.Cut(v, "=")
		own := false
		for _, x := range e.Private {
			own = own || x[0] == name
		}
		if !own {
			env = append(env, v)
		}
	}
	for _, x := range e.Private {
		env = append(env, x[0]+"="+path.Join(dir, x[1]))
	}
	return env
}
