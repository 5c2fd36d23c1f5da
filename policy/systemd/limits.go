package systemd

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"sbx/policy"
)

// wall takes settings with one value that a policy has in its own words. Not
// known: it has none for this value.
func (m *importer) wall(s setting) (known bool) {
	l, r := &m.p.Limits, &m.p.Process
	to, sound := map[string]*string{
		"CPUQuota": &l.CPU, "LimitCPU": &l.CPUTime, "LimitFSIZE": &l.FileSize, "LimitNOFILE": &l.OpenFiles, "LimitCORE": &l.Core,
		"AppArmorProfile": &r.AppArmor, "SELinuxContext": &r.SELinux,
	}[s.key], false
	value := s.value
	switch s.key {
	case "CPUQuota":
		_, err := policy.ParsePercent(value)
		sound = err == nil
	case "LimitCPU": // seconds; with units, like all spans
		if n, err := strconv.ParseUint(value, 10, 31); err == nil && n > 0 {
			value = strconv.FormatUint(n, 10) + "s"
		}
		value = strings.ReplaceAll(value, "min", "m")
		_, err := policy.ParseTime(value)
		sound = err == nil
	case "LimitFSIZE":
		_, err := policy.ParseSize(value)
		sound = err == nil
	case "LimitCORE":
		_, err := policy.ParseCore(value)
		sound = err == nil
	case "LimitNOFILE":
		_, err := policy.ParseCount(value)
		sound = err == nil
	default: // "-": without it where the module is not there, which a policy refuses
		sound = value != "" && value[0] != '-' && !strings.ContainsAny(value, " \t")
	}
	if value == "" || value == "infinity" {
		*to = ""
		return true
	}
	if sound {
		*to = value
	}
	return sound
}

// pathOptions reads what stands behind a path: of a tmpfs its options, of
// others where they are shown. The path it gives is the one inside.
func (m *importer) pathOptions(key, w, rest string) (inside string, o policy.PathOptions, ok bool) {
	if rest == "" {
		return w, o, true
	}
	if key != "TemporaryFileSystem" {
		at, how, _ := strings.Cut(rest, ":")
		if key != "BindPaths" && key != "BindReadOnlyPaths" || how != "" && how != "rbind" || !path.IsAbs(at) {
			return w, o, false
		}
		if path.Clean(at) != path.Clean(w) {
			o.From = path.Clean(w)
		}
		return at, o, path.IsAbs(w) && !strings.ContainsAny(w, "*?$")
	}
	for _, option := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(option, "=")
		var err error
		switch name {
		case "size":
			o.Size = strings.ToUpper(value)
			_, err = policy.ParseSize(o.Size)
		case "mode":
			o.Mode = value
			_, err = policy.ParseMode(value)
		case "noexec":
			no := false
			o.Exec = &no
		case "rw", "nodev", "nosuid":
		default:
			return w, o, false
		}
		if err != nil {
			return w, o, false
		}
	}
	return w, o, true
}

// say adds options to a path.
func (m *importer) say(w string, o policy.PathOptions) {
	if m.p.Files.Paths == nil {
		m.p.Files.Paths = map[string]policy.PathOptions{}
	}
	m.p.Files.Paths[w] = o
}

func (m *importer) noExec(s setting) (known bool, err error) {
	list, err := words(s.value)
	if s.value == "" {
		m.noexec = nil
	}
	for _, w := range list {
		m.noexec = append(m.noexec, path.Clean(strings.TrimLeft(w, "-+")))
	}
	return true, err
}

// settle keeps the options of paths that are listed after all.
func (m *importer) settle() {
	f := &m.p.Files
	listed := func(lists ...[]string) func(string) bool {
		return func(w string) bool {
			return slices.ContainsFunc(slices.Concat(lists...), func(e string) bool { return bare(e) == w })
		}
	}
	shown, private := listed(f.Read, f.Write), listed(f.Tmpfs)
	for w, o := range f.Paths {
		if !shown(w) && (o.From != "" || !private(w)) || !private(w) && o.Size+o.Mode != "" {
			delete(f.Paths, w)
		}
	}
	no := false
	for _, w := range m.noexec {
		if !shown(w) && !private(w) {
			m.lose("NoExecPaths=%s: a policy says it of paths that it lists", w)
			continue
		}
		o := f.Paths[w]
		o.Exec = &no
		m.say(w, o)
	}
}
