package systemd

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"sbx/policy/seccomp"
)

// unitName is a unit's name in its parts: PREFIX@INSTANCE.SUFFIX.
type unitName struct {
	prefix, instance, suffix string
	template                 bool // it has an "@"
}

// nameOf finds a unit's name by its file's, which is that of the directory for
// a drop-in (NAME.service.d/x.conf). The zero value: the file tells nothing.
func nameOf(file, instance string) (unitName, error) {
	base := path.Base(file)
	if dir := path.Base(path.Dir(file)); strings.HasSuffix(base, ".conf") && strings.HasSuffix(dir, ".d") {
		base = strings.TrimSuffix(dir, ".d")
	}
	var n unitName
	valid := func(s string) bool {
		return !strings.ContainsFunc(s, func(c rune) bool {
			return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune(`:-_.\@`, c)
		})
	}
	if !valid(instance) {
		return n, fmt.Errorf("%q is no instance's name", instance)
	}
	for _, suffix := range []string{".service", ".socket", ".mount", ".swap"} {
		if stem, ok := strings.CutSuffix(base, suffix); ok && stem != "" && valid(stem) {
			n.suffix = suffix
			n.prefix, n.instance, n.template = strings.Cut(stem, "@")
		}
	}
	switch {
	case instance == "":
	case n.suffix != "" && !n.template:
		return n, fmt.Errorf("%s is no template, and has no instances", base)
	case n.instance != "" && n.instance != instance:
		return n, fmt.Errorf("%s is the instance %q already", base, n.instance)
	default:
		n.instance, n.template = instance, true
	}
	return n, nil
}

// expand replaces the specifiers of systemd.unit(5), as the system's manager
// would. What is about the user who runs it becomes a variable: sbx runs as its
// caller.
func (m *importer) expand(s string) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 || i == len(s)-1 {
			b.WriteString(s)
			return b.String(), nil
		}
		text, err := m.specifier(s[i+1])
		if err != nil {
			return "", err
		}
		b.WriteString(s[:i] + text)
		s = s[i+2:]
	}
}

func (m *importer) specifier(c byte) (string, error) {
	n := m.unit
	switch c {
	case '%':
		return "%", nil
	case 'h':
		return "${HOME}", nil
	case 'u':
		return "${USER}", nil
	case 'U':
		return "${UID}", nil
	case 'g':
		return "root", nil
	case 'G':
		return "0", nil
	case 't':
		return "/run", nil
	case 'S':
		return "/var/lib", nil
	case 'C':
		return "/var/cache", nil
	case 'L':
		return "/var/log", nil
	case 'E':
		return "/etc", nil
	case 'T':
		return "/tmp", nil
	case 'V':
		return "/var/tmp", nil
	case 'a':
		return archName(m.o.Native), nil
	case 'i', 'I', 'n', 'N', 'p', 'P', 'j', 'J', 'f':
		return n.specifier(c)
	case 'H', 'l', 'q', 'm', 'b', 'v', 'o', 'w', 'W', 'B', 'A', 'M':
		if m.o.Machine != nil {
			text, err := m.o.Machine(c)
			if err == nil && strings.ContainsAny(text, "$%/") {
				err = fmt.Errorf("%q has no place in a policy", text)
			}
			if err != nil {
				return "", fmt.Errorf("find out what %%%c stands for: %w", c, err)
			}
			return text, nil
		}
	}
	return "", fmt.Errorf("what %q stands for only systemd knows", "%"+string(rune(c)))
}

// specifier gives those about the unit's name.
func (n unitName) specifier(c byte) (string, error) {
	instance := c == 'i' || c == 'I'
	if n.template && n.instance == "" && strings.IndexByte("iInNf", c) >= 0 ||
		instance && n.suffix == "" && n.instance == "" {
		return "", &hinted{fmt.Sprintf("what \"%%%c\" stands for depends on the instance", c), "name one: --instance NAME"}
	}
	if n.suffix == "" && !instance {
		return "", errors.New("what \"%" + string(rune(c)) +
			"\" stands for depends on the unit's name, and the file has no unit's name")
	}
	stem := n.prefix
	if n.template {
		stem += "@" + n.instance
	}
	last := n.prefix[strings.LastIndexByte(n.prefix, '-')+1:]
	switch c {
	case 'i':
		return n.instance, nil
	case 'I':
		return unescapeName(n.instance), nil
	case 'n':
		return stem + n.suffix, nil
	case 'N':
		return stem, nil
	case 'p':
		return n.prefix, nil
	case 'P':
		return unescapeName(n.prefix), nil
	case 'j':
		return last, nil
	case 'J':
		return unescapeName(last), nil
	}
	if n.template {
		stem = n.instance
	}
	return path.Join("/", unescapeName(stem)), nil
}

// unescapeName undoes the escaping of unit names: "-" is a slash, \x2d a dash.
func unescapeName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '-':
			b.WriteByte('/')
		case strings.HasPrefix(s[i:], `\x`):
			if text, n, err := unescape(s[i+1:]); err == nil {
				b.WriteString(text)
				i += n
				continue
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// archName is an architecture in a unit's words.
func archName(a seccomp.Arch) string {
	switch a {
	case seccomp.I386:
		return "x86"
	case seccomp.AMD64:
		return "x86-64"
	case seccomp.PPC64LE:
		return "ppc64-le"
	}
	return a.String()
}
