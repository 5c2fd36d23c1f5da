package policy

import (
	"path"
	"strconv"
	"strings"
)

// Vars are the values of the variables that a policy may use.
type Vars struct {
	// Home is the caller's home directory, absolute and clean. Where it is
	// none that can be made private (see PrivateHome), an entry of tmpfs that
	// is the home itself vanishes; where it is "/", one of read and write.
	Home string
	// CWD is the project the caller stands in (see ProjectDir). Empty: there
	// is none, and every entry that uses ${CWD} or ./ vanishes.
	CWD string
	// User and UID are the caller's name and number.
	User string
	UID  int
	// The XDG base directories. Empty or relative ones have the default that
	// the XDG Base Directory Specification gives; RuntimeDir has none.
	ConfigHome, CacheHome, DataHome, StateHome, RuntimeDir string
	// SSHAuthSock is the path of the caller's SSH agent. Display is the X display
	// as in the environment, which has a number to name its socket by only if it is
	// one of this machine. WaylandDisplay is the name of a socket in RuntimeDir.
	// All may be empty.
	SSHAuthSock, Display, WaylandDisplay string
}

// ProjectDir is dir if it can be shown as the project that somebody works on,
// else "". It cannot if it is the home or contains it, or is a directory of
// the system's: what lies there is not one project, and much of it secret.
func ProjectDir(dir, home string) string {
	dir = path.Clean(dir)
	if dir[0] != '/' || dir == "/" || Within(home, dir) {
		return ""
	}
	for _, d := range []string{"/proc", "/sys", "/dev"} {
		if Within(dir, d) {
			return ""
		}
	}
	switch dir {
	case "/bin", "/boot", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt", "/opt", "/root",
		"/run", "/run/user", "/sbin", "/srv", "/tmp", "/usr", "/var", "/var/lib", "/var/log", "/var/tmp":
		return ""
	}
	return dir
}

// Settings says whether dir is one of the home's directories of settings, where
// what is written decides what runs and is allowed later, by sbx too: nobody
// means it as a project for standing in it.
func Settings(dir, home string) bool {
	below, ok := strings.CutPrefix(path.Clean(dir), strings.TrimSuffix(home, "/")+"/")
	if !ok {
		return false
	}
	switch below {
	case ".config", ".cache", ".local", ".local/bin", ".local/lib", ".local/share", ".local/state", ".mozilla",
		".password-store":
		return true
	}
	for _, d := range []string{
		".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/sbx", ".cache/sbx", ".config/systemd",
		".config/autostart",
	} {
		if Within("/"+below, "/"+d) {
			return true
		}
	}
	return false
}

// PrivateHome is home if an empty directory can stand in its place, else "":
// system users have homes such as /, /bin or /var/www, and covering those
// would cover more than a home.
func PrivateHome(home string) string {
	if home == "" || home[0] != '/' || path.Clean(home) == "/" {
		return ""
	}
	home = path.Clean(home)
	for _, d := range []string{
		"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr",
	} {
		if Within(home, d) {
			return ""
		}
	}
	switch home {
	case "/home", "/mnt", "/media", "/opt", "/srv", "/tmp", "/var", "/var/tmp", "/var/www":
		return ""
	}
	return home
}

// Within says whether p is dir or lies below it.
func Within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir) && len(p) > len(dir) && p[len(dir)] == '/'
}

// Expand gives the resolved policy with every variable replaced: paths are
// absolute and clean, with their "?" if they have one. Two entries that turn
// out to be one path are one; to be read and written is to be written, and to
// be the host's and private is an error.
//
// A variable without a value takes its entry along, but nothing that was to be
// hidden is forgotten for that: there it is an error, unless marked "?". A path
// also vanishes with a variable in what files.path says of it, and a file or
// link of the sandbox's own with one in its path or target.
func (p *Policy) Expand(v Vars) (*Policy, error) {
	q := *p
	options, lacking, err := p.expandOptions(&v)
	if err != nil {
		return nil, err
	}
	q.Files.Paths = nil
	for _, l := range [...]struct {
		key  string
		list *[]string
	}{
		{"read", &q.Files.Read}, {"write", &q.Files.Write}, {"tmpfs", &q.Files.Tmpfs}, {"hide", &q.Files.Hide},
		{"unhide", &q.Files.Unhide},
		{"overlay", &q.Files.Overlay}, {"directories", &q.Files.Directories}, {"sockets", &q.Files.Sockets},
		{"devices", &q.Files.Devices},
	} {
		if len(*l.list) == 0 {
			continue
		}
		own := l.key == "tmpfs" || l.key == "directories"
		mounts := l.key != "hide" && l.key != "unhide" && l.key != "sockets" && l.key != "devices"
		list := make([]string, 0, len(*l.list))
		for _, e := range *l.list {
			if withoutMark(e) == "${HOME}" && (v.Home == "/" && l.key != "hide" || own && PrivateHome(v.Home) == "") {
				continue
			}
			s, missing, err := v.expandPath(e)
			if err != nil {
				return nil, &Error{File: p.Name, Msg: "files." + l.key + ": " + err.Error()}
			}
			if missing == "" && mounts {
				missing = lacking[withoutMark(e)]
			}
			if missing == "" {
				list = addPath(list, s)
				if o, ok := options[withoutMark(e)]; ok && mounts {
					if err := q.addOptions(e, withoutMark(s), o); err != nil {
						return nil, err
					}
				}
				continue
			}
			if e[0] != '?' && (ofSession(missing) || l.key == "hide" && missing != "CWD") {
				return nil, &Error{
					File: p.Name, Msg: "files." + l.key + ": " + strconv.Quote(e) + ": ${" + missing + "} has no value here",
					Fix: "set it, or put a ? in front of the entry",
				}
			}
		}
		*l.list = list
	}
	if err := q.expandTexts(&v); err != nil {
		return nil, err
	}
	if err := q.expandListen(&v); err != nil {
		return nil, err
	}
	env := make([]string, 0, len(q.Process.Env))
	for _, e := range q.Process.Env {
		s, missing, err := v.expand(e)
		if err != nil {
			return nil, &Error{File: p.Name, Msg: "process.env: " + err.Error()}
		}
		if missing == "" {
			env = append(env, s)
		}
	}
	q.Process.Env = env
	var errs errorList
	errs.add(resolveConflicts(&q))
	errs.add(checkLinks(&q))
	if err := errs.err(); err != nil {
		return nil, err
	}
	return &q, nil
}

// Path is an absolute path of an entry, or of [expect], with its variables replaced;
// "" if one has no value.
func (v *Vars) Path(entry string) (string, error) {
	s, missing, err := v.expandPath(entry)
	if missing != "" {
		s = ""
	}
	return s, err
}

// addPath adds an entry unless its path is there; a required one replaces an
// optional one.
func addPath(list []string, e string) []string {
	for i, have := range list {
		if withoutMark(have) == withoutMark(e) {
			if have[0] == '?' {
				list[i] = e
			}
			return list
		}
	}
	return append(list, e)
}

// ofSession says whether the variable has a value in some sessions only.
func ofSession(name string) bool {
	switch name {
	case "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "DISPLAY", "WAYLAND_DISPLAY":
		return true
	}
	return false
}

func (v *Vars) expandPath(e string) (s, missing string, err error) {
	if !strings.Contains(e, "${") {
		return e, "", nil
	}
	mark := e[:len(e)-len(withoutMark(e))]
	s, missing, err = v.expand(withoutMark(e))
	if err != nil || missing != "" {
		return "", missing, err
	}
	return mark + path.Clean(s), "", nil
}

// expand replaces the variables in s. missing names one that has no value.
func (v *Vars) expand(s string) (out, missing string, err error) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), "", nil
		}
		name, rest, _ := strings.Cut(s[i+2:], "}")
		value, err := v.value(name)
		if err != nil {
			return "", "", err
		}
		if value == "" {
			return "", name, nil
		}
		b.WriteString(s[:i])
		b.WriteString(value)
		s = rest
	}
}

// value is a variable's, "" if it has none.
func (v *Vars) value(name string) (string, error) {
	switch name {
	case "HOME":
		if v.Home == "/" {
			return v.Home, nil // "~/x" is /x; "~" itself is seen to by Expand
		}
		return absolute("HOME", v.Home)
	case "CWD":
		return absolute("CWD", v.CWD)
	case "USER":
		if strings.ContainsAny(v.User, "/\x00") || v.User == "." || v.User == ".." {
			return "", &Error{Msg: "user name " + strconv.Quote(v.User) + " is no name of a file"}
		}
		return v.User, nil
	case "UID":
		return strconv.Itoa(v.UID), nil
	case "XDG_CONFIG_HOME":
		return v.base(v.ConfigHome, "/.config")
	case "XDG_CACHE_HOME":
		return v.base(v.CacheHome, "/.cache")
	case "XDG_DATA_HOME":
		return v.base(v.DataHome, "/.local/share")
	case "XDG_STATE_HOME":
		return v.base(v.StateHome, "/.local/state")
	case "XDG_RUNTIME_DIR":
		if !path.IsAbs(v.RuntimeDir) {
			return "", nil
		}
		return absolute(name, v.RuntimeDir)
	case "SSH_AUTH_SOCK":
		if !path.IsAbs(v.SSHAuthSock) {
			return "", nil
		}
		return absolute(name, v.SSHAuthSock)
	case "DISPLAY":
		return localDisplay(v.Display), nil
	case "WAYLAND_DISPLAY":
		if strings.ContainsAny(v.WaylandDisplay, "/\x00") || v.WaylandDisplay == "." || v.WaylandDisplay == ".." {
			return "", nil
		}
		return v.WaylandDisplay, nil
	}
	return "", &Error{Msg: "unknown variable " + strconv.Quote(name)}
}

// localDisplay is the number of an X display of this machine: "0" of ":0" or ":0.0". It
// is "" of all others.
func localDisplay(s string) string {
	number, ok := strings.CutPrefix(strings.TrimPrefix(s, "unix"), ":")
	number, screen, _ := strings.Cut(number, ".")
	if n, err := strconv.ParseUint(number, 10, 16); !ok || err != nil || strconv.FormatUint(n, 10) != number ||
		strings.Trim(screen, "0123456789") != "" {
		return ""
	}
	return number
}

func (v *Vars) base(dir, below string) (string, error) {
	if path.IsAbs(dir) {
		return absolute("XDG base directory", dir)
	}
	home, err := v.value("HOME")
	if home == "" {
		return "", err
	}
	return path.Clean(home + below), nil
}

// absolute refuses values that a path cannot begin with. The root is one: a
// policy that names what lies below a directory means no other place.
func absolute(name, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	if value[0] != '/' || path.Clean(value) != value || value == "/" || strings.IndexByte(value, 0) >= 0 {
		return "", &Error{Msg: "${" + name + "} is " + strconv.Quote(value) + ", not the clean path of a directory below /"}
	}
	return value, nil
}
