package policy

import (
	"path"
	"slices"
	"strings"
	"unicode"
)

// Bounds of the language. A policy that passes one is refused.
const (
	// MaxSize is the most bytes a policy file may have.
	MaxSize = 1 << 20
	// MaxDepth is how deep extends may nest, MaxPolicies how many policies
	// one may draw in altogether.
	MaxDepth    = 16
	MaxPolicies = 64
	// MaxEntries is the most entries a resolved policy's lists may have
	// together, but for network.hosts, which may have MaxHosts: a host costs
	// the launch a line in a table and no system call. MaxString is the most
	// bytes of one entry.
	MaxEntries = 10000
	MaxHosts   = 30000
	MaxString  = 4096
)

// none in a limit is a policy's way to lift what it inherits. Resolve turns it
// into no bound at all.
const none = "none"

// isDeceptive says of a character that it can make text look like another:
// control characters, and formats such as those that reverse its direction.
func isDeceptive(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// checkText refuses what no string of a policy may have.
func checkText(s string) *fault {
	if len(s) > MaxString {
		return faultf("a string of %d bytes; the most is %d", len(s), MaxString)
	}
	for _, r := range s {
		if isDeceptive(r) {
			return faultf("%q has the control character %U", s, r)
		}
	}
	return nil
}

func checkSummary(s string) (string, *fault) {
	if len(s) > 200 {
		return "", faultf("the summary has %d bytes; it is one line of at most 200", len(s))
	}
	return s, nil
}

// checkExtends takes a name or, if it has a slash, a path.
func checkExtends(s string) (string, *fault) {
	if strings.HasPrefix(s, "~") || strings.Contains(s, "$") {
		return "", faultf("%q: extends knows no variables",
			s).or("write the whole path, or one from this file's directory, as ./x.toml")
	}
	if strings.Contains(s, "/") {
		return s, nil
	}
	if !ValidName(s) {
		return "", faultf("%q is no policy name",
			s).or("names have a-z, 0-9, - and _; a file is named by a path with a slash, as ./%s.toml",
			strings.TrimSuffix(s, ".toml"))
	}
	return s, nil
}

// ValidName says whether s can name a policy: lower-case letters, digits, "-"
// and "_", at most 64, beginning with a letter or digit.
func ValidName(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '-' || s[0] == '_' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func checkNamespace(s string, values []string) (string, *fault) {
	for _, v := range values {
		if s == v {
			return s, nil
		}
	}
	if strings.HasPrefix(s, "/") {
		if strings.Contains(s, "$") || path.Clean(s) != s {
			return "", faultf("%q is no plain path of a namespace", s)
		}
		return s, nil
	}
	return "", faultf("%q is no kind of namespace", s).like(s, append(values, "/path/to/join"))
}

// checkPath takes what read, write and tmpfs hold. The canonical form is
// clean and begins with "/" or a variable.
func checkPath(s string) (string, *fault) {
	mark, p := "", s
	if strings.HasPrefix(p, "?") {
		mark, p = "?", p[1:]
	}
	if i := strings.IndexAny(p, "*?"); i >= 0 {
		return "", faultf("%q: %q is for patterns, and only hide takes those", s, p[i:i+1])
	}
	p, f := canonicalPath(p)
	if f != nil {
		return "", f
	}
	return mark + p, nil
}

// CheckDevice says what is wrong with an entry of Files.Devices, or nil.
func CheckDevice(s string) error {
	if _, f := checkDevice(s); f != nil {
		return &Error{Msg: f.msg, Fix: f.hint}
	}
	return nil
}

// checkDevice takes a path below /dev that is none of what every /dev has, nor one of
// the file systems that lie there.
func checkDevice(s string) (string, *fault) {
	s, f := checkPath(s)
	if f != nil {
		return "", f
	}
	in, ok := strings.CutPrefix(withoutMark(s), "/dev/")
	if !ok {
		return "", faultf("%q is no device: it does not lie below /dev", s)
	}
	switch top, _, _ := strings.Cut(in, "/"); top {
	case "null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm":
		return "", faultf("%q: sbx's own /dev has its own %s", s, top).or("take it out")
	case "mqueue", "hugepages":
		return "", faultf("%q is a file system, not a device", s)
	}
	return s, nil
}

// checkHide takes a path, or a pattern without a slash but for "**/" in
// front.
func checkHide(s string) (string, *fault) {
	mark, p := "", s
	if strings.HasPrefix(p, "?") {
		mark, p = "?", p[1:]
	}
	deep := strings.HasPrefix(p, "**/")
	pattern := strings.TrimPrefix(p, "**/")
	if !deep && (strings.Contains(p, "/") || p == "~" || p == "." || strings.HasPrefix(p, "$")) {
		if i := strings.IndexAny(p, "*?"); i >= 0 {
			return "", faultf("%q: a pattern has no slash, but for **/ in front", s)
		}
		p, f := canonicalPath(p)
		if f != nil {
			return "", f
		}
		return mark + p, nil
	}
	if pattern == "" || pattern == ".." || pattern == "." || strings.ContainsAny(pattern, "/$") ||
		strings.Contains(pattern, "**") {
		return "", faultf("%q is no pattern", s).or(`as "*.pem", "**/*.pem" at any depth, or a path from / or ./`)
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return "", faultf("%q is no pattern: %v", s, err)
	}
	return s, nil
}

// checkUnhide takes a path, or a pattern without a slash, but for one at the end.
func checkUnhide(s string) (string, *fault) {
	p := withoutMark(s)
	if strings.HasPrefix(p, "/") || strings.HasPrefix(p, "~/") || strings.HasPrefix(p, "./") || strings.HasPrefix(p, "$") {
		return checkPath(s)
	}
	return checkName(s, `as "*.example", "name/" for what is in directories, or a path from / or ./`)
}

// checkInspect takes a pattern without a slash.
func checkInspect(s string) (string, *fault) {
	if strings.HasSuffix(s, "/") {
		return "", faultf("%q: only files are looked into", s).or(`as "*.pem"`)
	}
	return checkName(s, `as "*.pem"`)
}

// checkName takes a pattern without a slash, but for one at the end.
func checkName(s, fix string) (string, *fault) {
	pattern := strings.TrimSuffix(s, "/")
	switch {
	case strings.HasPrefix(pattern, "**/"):
		return "", faultf("%q: such a name counts at any depth", s).or("%q", strings.TrimPrefix(s, "**/"))
	case pattern == "" || pattern == "." || pattern == ".." || pattern == "~" || strings.ContainsAny(pattern, "/$?") ||
		strings.Contains(pattern, "**"):
		return "", faultf("%q is no pattern", s).or("%s", fix)
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return "", faultf("%q is no pattern: %v", s, err)
	}
	return s, nil
}

// checkGuard takes a pattern without a slash, but for "**/" in front and one
// at the end.
func checkGuard(s string) (string, *fault) {
	pattern := strings.TrimSuffix(strings.TrimPrefix(s, "**/"), "/")
	if pattern == "" || pattern == "." || pattern == ".." || strings.ContainsAny(pattern, "/$") ||
		strings.Contains(pattern, "**") {
		return "", faultf("%q is no pattern", s).or(`as ".*", "**/.git" at any depth, or "name/" for directories`)
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return "", faultf("%q is no pattern: %v", s, err)
	}
	return s, nil
}

// canonicalPath is p clean and with "~/" and "./" written as variables.
func canonicalPath(p string) (string, *fault) {
	given := p
	switch {
	case p == "":
		return "", faultf("an empty path")
	case p == "~" || strings.HasPrefix(p, "~/"):
		p = "${HOME}" + p[1:]
	case p == "." || strings.HasPrefix(p, "./"):
		p = "${CWD}" + p[1:]
	case p[0] != '/' && p[0] != '$':
		return "", faultf("path %q is neither absolute nor below ~/, ./ or a variable", given).
			or("%q or %q", "/"+strings.TrimLeft(p, "~"), "./"+p)
	}
	for _, part := range strings.Split(p, "/") {
		if part == ".." {
			return "", faultf("path %q has a ..", given).or("write where it leads to")
		}
	}
	if f := checkVariables(p, true); f != nil {
		return "", f
	}
	// path.Clean knows nothing of variables, which stand in front as if they
	// were a name.
	return path.Clean(p), nil
}

// checkVariables finds unknown variables, and where isPath is set those that
// are a whole path and do not stand in front.
func checkVariables(s string, isPath bool) *fault {
	for rest, at := s, 0; ; {
		i := strings.IndexByte(rest, '$')
		if i < 0 {
			return nil
		}
		at += i
		rest = rest[i+1:]
		end := strings.IndexByte(rest, '}')
		if !strings.HasPrefix(rest, "{") || end < 0 {
			return faultf("%q: a $ that begins no variable", s).or("variables are written ${HOME}")
		}
		name := rest[1:end]
		if !isVariable(name) {
			return faultf("%q: unknown variable %q", s, name).like(name, variables())
		}
		if isPath {
			whole := !slices.Contains([]string{"USER", "UID", "DISPLAY", "WAYLAND_DISPLAY"}, name)
			if whole && at != 0 {
				return faultf("%q: ${%s} is a path and stands only in front", s, name)
			}
			if !whole && at == 0 {
				return faultf("path %q is neither absolute nor below ~/, ./ or a variable that is a path", s)
			}
			if whole && len(rest) > end+1 && rest[end+1] != '/' {
				return faultf("%q: a slash must follow ${%s}", s, name)
			}
		}
		rest = rest[end+1:]
		at += 1 + end + 1
	}
}

// variables are all that a policy may use.
func variables() []string {
	return []string{
		"HOME", "CWD", "USER", "UID", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
		"XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "DISPLAY", "WAYLAND_DISPLAY",
	}
}

func isVariable(name string) bool {
	for _, v := range variables() {
		if v == name {
			return true
		}
	}
	return false
}

func checkCapability(s string) (string, *fault) {
	name := withoutMark(s)
	for _, c := range capabilityNames() {
		if c == name {
			return s, nil
		}
	}
	plain := strings.TrimPrefix(strings.ToLower(name), "cap_")
	return "", faultf("unknown capability %q", name).like(plain, capabilityNames())
}

func checkEnv(s string) (string, *fault) {
	name := envName(s)
	isSet := len(name) < len(s)
	plain := name
	if !isSet {
		plain = strings.TrimSuffix(name, "*")
	}
	for i := 0; i < len(plain); i++ {
		c := plain[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return "", faultf("%q is no environment entry", s).or("NAME, PREFIX_* or NAME=value")
		}
	}
	if plain == "" && s != "*" {
		return "", faultf("%q is no environment entry", s).or("NAME, PREFIX_* or NAME=value")
	}
	if isSet {
		if f := checkVariables(s[len(name)+1:], false); f != nil {
			return "", f
		}
	}
	return s, nil
}

func oneOf(what string, values []string) func(string) (string, *fault) {
	return func(s string) (string, *fault) {
		for _, v := range values {
			if s == v {
				return s, nil
			}
		}
		return "", faultf("%q is no value of %s", s, what).like(s, values)
	}
}

// CheckUnhide is CheckHide for files.unhide.
func CheckUnhide(s string) error {
	if _, f := checkUnhide(s); f != nil {
		return &Error{Msg: f.msg, Fix: f.hint}
	}
	return nil
}

// CheckHide says what is wrong with an entry of files.hide, as Parse would: for
// those that come from elsewhere, such as a flag.
func CheckHide(s string) error {
	if _, f := checkHide(s); f != nil {
		return &Error{Msg: f.msg, Fix: f.hint}
	}
	return nil
}
