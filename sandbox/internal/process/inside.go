package process

import (
	"os"
	"path"
	"strings"
)

// Inside says what the sandbox's root file system has at each path.
type Inside interface {
	Look(name string) Place
}

// Place is what is at a path inside.
type Place struct {
	// Host is the path of the host's file that is shown there; empty: the sandbox has
	// something of its own there, or nothing.
	Host string
	// Link is what a link of the sandbox's own says. Dir says that there is a directory
	// of its own.
	Link string
	Dir  bool
	// Hidden says that the path is masked, NoExec that nothing can be executed there.
	Hidden, NoExec bool
}

// found is how far a path leads inside.
type found struct {
	// path is the path inside without links, and host the file there.
	path, host string
	// hop is what the path, or the last link on the way, leads to, if something of that
	// is not inside; "" if the walk came to its end. hidden says that the policy hides
	// it, absent that the host has nothing there either.
	hop            string
	hidden, absent bool
	noExec         bool
}

// mostLinks is as many as the kernel follows, see path_resolution(7).
const mostLinks = 40

// walk goes the path as the sandbox will, link by link. It reads the host only where the
// host's files are shown, and for the words of a message.
func walk(inside Inside, name, dir string) found {
	if !path.IsAbs(name) {
		name = dir + "/" + name
	}
	at, rest, links := "/", name, 0
	for rest != "" {
		part, after, _ := strings.Cut(rest, "/")
		rest = after
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		p := inside.Look(next)
		link := p.Link
		if p.Host != "" {
			st, err := os.Lstat(p.Host)
			if err == nil && st.Mode()&os.ModeSymlink != 0 {
				link, err = os.Readlink(p.Host)
			}
			if err != nil {
				return found{hop: path.Join(next, rest), absent: true}
			}
		}
		switch {
		case p.Hidden:
			return found{hop: next, hidden: true}
		case p.Host == "" && link == "" && !p.Dir:
			hop := path.Join(next, rest)
			_, err := os.Stat(hop)
			return found{hop: hop, absent: err != nil}
		case link == "":
			at = next
			continue
		}
		if links++; links > mostLinks {
			return found{hop: next, absent: true}
		}
		if path.IsAbs(link) {
			at = "/"
		}
		rest = link + "/" + rest
	}
	p := inside.Look(at)
	return found{path: at, host: p.Host, noExec: p.NoExec}
}

// showFor is the path to show for a program: its directory, or the one above where the
// program lies in one of programs only, since it needs what is beside that. A whole home,
// or what holds much besides, is not named: then it is the program alone.
func showFor(program string) string {
	home := os.Getenv("HOME")
	dir := path.Dir(program)
	up := path.Dir(dir)
	wide := func(dir string) bool {
		return strings.Count(dir, "/") < 2 && dir != "/opt" || dir == home || path.Dir(dir) == "/home" || dir == "/var/tmp"
	}
	switch path.Base(dir) {
	case "bin", "sbin", "libexec":
		if !wide(up) && up != "/opt" && path.Dir(up) != home {
			return up
		}
	}
	if wide(dir) && !strings.HasSuffix(dir, "bin") {
		return program
	}
	return dir
}
