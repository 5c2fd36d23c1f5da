package systemd

import (
	"fmt"
	"path"
	"strings"

	"sbx/policy"
)

// place is one entry of a setting that lists paths.
type place struct {
	by       setting
	key      string // which list it came by
	path     string // inside
	from     string // what is shown there, of a bind mount
	optional bool
	inUnit   bool // "+": relative to the unit's own root directory
	ro       bool
	// covered says that what is to be shown cannot be, and that nothing else
	// may be seen in its place.
	covered    bool
	noexec     bool
	size, mode string
}

// below says where the directories of a setting lie, and the variable that
// names them to the program.
func below(key string) (dir, variable string) {
	switch key {
	case "StateDirectory":
		return "/var/lib", "STATE_DIRECTORY"
	case "CacheDirectory":
		return "/var/cache", "CACHE_DIRECTORY"
	case "LogsDirectory":
		return "/var/log", "LOGS_DIRECTORY"
	case "RuntimeDirectory":
		return "/run", "RUNTIME_DIRECTORY"
	case "ConfigurationDirectory":
		return "/etc", "CONFIGURATION_DIRECTORY"
	}
	return "", ""
}

// paths takes the settings that list paths. An empty value takes back what was
// listed before.
func (m *importer) paths(s setting) error {
	list := s.key
	if list == "BindReadOnlyPaths" {
		list = "BindPaths" // either resets both
	}
	if s.value == "" {
		m.places[list] = nil
		return nil
	}
	entries, err := words(s.value)
	if err != nil {
		return err
	}
	for _, w := range entries {
		var p place
		switch dir, _ := below(s.key); {
		case dir != "":
			p, err = m.ownDirectory(s, dir, w)
		case list == "BindPaths":
			p, err = m.bindMount(s, w)
		default:
			p, err = m.plainPath(s, w)
		}
		if err != nil {
			return err
		}
		p.by, p.key = s, s.key
		m.places[list] = append(m.places[list], p)
	}
	return nil
}

// plainPath reads "-+/path", and for a tmpfs its options.
func (m *importer) plainPath(s setting, w string) (p place, err error) {
	w, p.optional = strings.CutPrefix(w, "-")
	w, p.inUnit = strings.CutPrefix(w, "+")
	options := ""
	if s.key == "TemporaryFileSystem" {
		w, options, _ = strings.Cut(w, ":")
	}
	if p.path, err = m.absolute(w); err != nil {
		return p, err
	}
	if options != "" {
		m.tmpfsOptions(s, &p, options)
	}
	return p, nil
}

// absolute checks a path and gives it without specifiers.
func (m *importer) absolute(w string) (string, error) {
	if strings.ContainsAny(w, "*?$") {
		return "", fmt.Errorf("%q is no plain absolute path", w)
	}
	full, err := m.expand(w)
	if err != nil {
		return "", err
	}
	if !path.IsAbs(full) && !strings.HasPrefix(full, "${") {
		return "", fmt.Errorf("%q is no plain absolute path", w)
	}
	if err := policy.CheckValue("files.read", full); err != nil {
		return "", err
	}
	full = path.Clean(full)
	// Links that every machine with systemd has.
	for _, l := range [][2]string{{"/var/run", "/run"}, {"/var/lock", "/run/lock"}} {
		if policy.Within(full, l[0]) {
			full = l[1] + strings.TrimPrefix(full, l[0])
		}
	}
	return full, nil
}

// ownDirectory reads an entry of StateDirectory= and its like.
func (m *importer) ownDirectory(s setting, dir, w string) (p place, err error) {
	name, rest, _ := strings.Cut(w, ":")
	if name, err = m.expand(name); err != nil {
		return p, err
	}
	if name == "" || path.IsAbs(name) || strings.Contains("/"+name+"/", "/../") || strings.ContainsAny(name, "*?$") {
		return p, fmt.Errorf("%q is no plain relative path", w)
	}
	p.path = path.Join(dir, name)
	if err := policy.CheckValue("files.read", p.path); err != nil {
		return p, err
	}
	link, flags, _ := strings.Cut(rest, ":")
	if p.ro = flags == "ro"; flags != "" && !p.ro {
		return p, fmt.Errorf("%q: unknown flag %q", w, flags)
	}
	if link != "" {
		m.lose("%s: a policy does not make the link to %s", link, p.path)
	}
	// What is bound is the directory itself: it is there even if something
	// else covers the one over it.
	p.from, p.optional = p.path, true
	return p, nil
}

// bindMount reads SOURCE[:PATH[:OPTIONS]].
func (m *importer) bindMount(s setting, w string) (p place, err error) {
	w, p.optional = strings.CutPrefix(w, "-")
	source, rest, _ := strings.Cut(w, ":")
	at, how, _ := strings.Cut(rest, ":")
	if at == "" {
		at = source
	}
	if p.path, err = m.absolute(at); err != nil {
		return p, err
	}
	if p.from, err = m.absolute(source); err != nil {
		return p, err
	}
	p.ro = s.key == "BindReadOnlyPaths"
	if how != "" && how != "rbind" {
		m.lose("%s: a policy has no word for %q; nothing is shown at %s", w, how, p.path)
		p.covered = true
	}
	return p, nil
}

// tmpfsOptions reads the mount options of a tmpfs. Those that a policy has no
// word for are listed; the tmpfs is there without them.
func (m *importer) tmpfsOptions(s setting, p *place, options string) {
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		var err error
		known := true
		switch name {
		case "size":
			if _, err = policy.ParseSize(strings.ToUpper(value)); err == nil {
				p.size = strings.ToUpper(value)
			}
		case "mode":
			if _, err = policy.ParseMode(value); err == nil {
				p.mode = value
				if len(value) == 4 {
					p.mode = strings.TrimPrefix(value, "0")
				}
			}
		case "noexec":
			p.noexec = true
		case "ro":
			p.ro = true
		case "rw":
			p.ro = false
		case "nodev", "nosuid", "exec", "strictatime", "relatime", "noatime", "nodiratime", "nostrictatime":
		default:
			known = false
		}
		if !known || err != nil {
			m.lose("%s: a policy has no word for the option %q", p.path, option)
		}
	}
}
