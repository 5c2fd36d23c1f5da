package learn

import (
	"path"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/explain"
)

// Info is what is at a path of the host.
type Info struct {
	Kind InfoKind
	// Target is what a link says.
	Target string
	// Mode are the permissions, and UID the owner.
	Mode, UID uint32
}

// InfoKind is a kind of file.
type InfoKind uint8

// The kinds of files.
const (
	Missing InfoKind = iota
	Regular
	Directory
	Link
	SocketFile
	Device
	Other
)

// ground is what paths are judged by: the host, and whose home and project it is.
type ground struct {
	look      func(string) Info // without following a link
	private   func(string) bool // see Maker
	home, dir string
	known     map[string]Info
}

// at is what is at the path, looked at once.
func (g *ground) at(name string) Info {
	i, ok := g.known[name]
	if !ok {
		i = g.look(name)
		g.known[name] = i
	}
	return i
}

// real is the path without links, and hops the links on the way.
func (g *ground) real(name string) (real string, hops []string) {
	const most = 40
	left := strings.Split(strings.Trim(name, "/"), "/")
	at := "/"
	for len(left) > 0 {
		part := left[0]
		left = left[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		i := g.at(next)
		if i.Kind != Link || len(hops) == most {
			at = next
			continue
		}
		hops = append(hops, next)
		left = append(strings.Split(i.Target, "/"), left...)
		if strings.HasPrefix(i.Target, "/") {
			at = "/"
		}
	}
	return at, hops
}

// containers are directories that have what belongs to many programs. No policy shows them
// as a whole because of something in them.
var containers = [...]string{
	"/", "/etc", "/usr", "/usr/local", "/usr/share", "/usr/lib", "/var", "/var/lib", "/var/log", "/var/cache",
	"/var/spool", "/var/run", "/run", "/opt", "/srv", "/home", "/root", "/mnt", "/media", "/tmp", "/var/tmp", "/dev",
	"/dev/shm", "/run/lock", "/run/user",
}

// homeContainers are those below the home.
var homeContainers = [...]string{
	"", ".config", ".cache", ".local", ".local/share", ".local/state", ".local/lib", ".local/bin", ".var", ".var/app",
}

// container says that the directory is one.
func (g *ground) container(name string) bool {
	if slices.Contains(containers[:], name) || path.Dir(name) == "/" || policy.Within(g.home, name) ||
		g.dir != "" && name != g.dir && policy.Within(g.dir, name) {
		return true
	}
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(g.home, "/")+"/")
	return ok && slices.Contains(homeContainers[:], rest)
}

// root is the directory, or the file, of the package that the path belongs to: what lies
// directly in the deepest container over it.
func (g *ground) root(name string) string {
	at := name
	for up := path.Dir(name); !g.container(up); up = path.Dir(up) {
		at = up
	}
	return at
}

// secret says that the path is one that no policy should show without thought.
func (g *ground) secret(name string) bool {
	for _, pattern := range Secrets(g.home) {
		for at := name; at != "/" && at != "."; at = path.Dir(at) {
			if match, err := path.Match(pattern, at); err == nil && match {
				return true
			}
		}
	}
	return false
}

// hasSecret says that there may be one below the directory.
func (g *ground) hasSecret(dir string) bool {
	return slices.ContainsFunc(Secrets(g.home), func(pattern string) bool {
		return policy.Within(pattern, dir) && g.at(strings.TrimSuffix(pattern, "*")).Kind != Missing
	})
}

// lacks says that a policy with the entry does not start in this project.
func (g *ground) lacks(e policy.Entry) bool {
	if e.Optional || !e.Kind.FromHost() || g.dir == "" || e.Source() == g.dir || !policy.Within(e.Source(), g.dir) {
		return false
	}
	real, _ := g.real(e.Source())
	return g.at(real).Kind == Missing
}

// temporary is the directory for temporary files that the path is in, if the run had one of its
// own, or "". What the host has under the same name in its own was not what the program saw.
func (g *ground) temporary(name string) string {
	for _, dir := range [...]string{"/tmp", "/var/tmp"} {
		if name != dir && policy.Within(name, dir) && g.private != nil && g.private(name) {
			return dir
		}
	}
	return ""
}

// harmless says that it does not matter whether the path is there, which was read or not.
func (g *ground) harmless(name string, read bool) bool {
	return explain.HarmlessPath(g.home, name, read)
}

// changing says that a part of a path looks like a version, a hash, a pid or a temporary
// name: the next run has another one.
func changing(part string) bool {
	digits, hex, letters := 0, 0, 0
	for _, c := range []byte(part) {
		switch {
		case c >= '0' && c <= '9':
			digits++
			hex++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hex++
			letters++
		case c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z':
			letters++
		}
	}
	lower := strings.ToLower(part)
	switch {
	case part == "":
		return false
	case digits == len(part), hex >= 8 && hex >= len(part)-4 && digits > 1: // a pid, a hash
		return true
	case digits > 0 && strings.Contains(part, ".") && strings.Trim(part, "v0123456789.-_") == "": // 1.2.3
		return true
	case strings.Contains(part, "@"): // name@version
		return true
	case strings.HasPrefix(lower, "tmp"), strings.HasPrefix(lower, "temp"), strings.HasSuffix(lower, ".tmp"),
		strings.HasSuffix(lower, ".lock"), strings.HasSuffix(lower, ".pid"), strings.HasSuffix(lower, ".sock"),
		strings.HasSuffix(lower, "~"):
		return true
	}
	return false
}
