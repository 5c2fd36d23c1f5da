package policy

import "slices"

// settings finds settings that have no effect, or undo a protection.
func (l *linter) settings() {
	p, n, r := l.whole, &l.whole.Namespaces, &l.whole.Process
	noLandlock := r.Landlock == "off" || IsTrue(r.Nest)
	for _, x := range []struct {
		bad              bool
		rule, key, entry string
		msg              string
	}{
		{IsTrue(r.LandlockLog) && noLandlock, "no-effect", "process.landlock_log", "",
			"process.landlock_log: there is no Landlock whose denials could be logged"},
		{!NotFalse(r.Supervise) && n.PID == "new" && !n.None(), "no-effect", "process.supervise", "",
			"process.supervise: a launch refuses it, since namespaces.pid is \"new\": a process never enters one itself"},
		{IsTrue(r.Ambient) && len(r.Capabilities) == 0, "no-effect", "process.ambient", "",
			"process.ambient: no capability is kept that could be ambient"},
		{len(p.Files.Devices) > 0 && !NotFalse(p.Files.Dev), "no-effect", "files.devices", "",
			"files.devices: there is no /dev, since files.dev is false; a launch refuses it"},
		{p.Limits.Tmp != "" && len(p.Files.Tmpfs)+len(p.Files.Overlay) == 0, "no-effect", "limits.tmp", "",
			"limits.tmp: there is no tmpfs to bound"},
		{
			IsTrue(r.Ambient) && len(r.Capabilities) > 0 && n.User != "new", "capability", "process.ambient", "",
			"process.ambient: every program started inside has the capabilities kept, whoever it runs as",
		},
		{IsTrue(n.Ranges), "id-ranges", "namespaces.ranges", "",
			"namespaces.ranges: files that the target leaves can belong to other ids of the caller's ranges"},
	} {
		if x.bad {
			l.add(x.rule, x.key, x.entry, "%s", x.msg)
		}
	}
	l.optionFindings()
}

// optionFindings finds options that open or waste.
func (l *linter) optionFindings() {
	f := &l.whole.Files
	all := field{options: func(p *Policy) *map[string]PathOptions { return &p.Files.Paths }}
	for _, path := range all.paths(l.whole) {
		o := f.Paths[path]
		if o.Mode != "" {
			if mode, err := ParseMode(o.Mode); err == nil && mode&0o1002 == 0o002 && f.kindOf(path) == "tmpfs" {
				l.add("mode", "files.path.mode", path,
					"%q has mode %s: without the sticky bit (1%s) each user inside can remove another's files", path, o.Mode, o.Mode)
			}
		}
		for _, x := range []struct{ key, at string }{{"upper", o.Upper}, {"work", o.Work}} {
			if x.at == "" {
				continue
			}
			shown := slices.ContainsFunc(slices.Concat(f.Write, f.Overlay),
				func(e string) bool { return Within(x.at, withoutMark(e)) })
			if shown {
				l.add("overlay-shown", "files.path."+x.key, path,
					"the %s of %q is writable inside too: what overlayfs makes of changes to it is undefined", x.key, path)
			}
		}
	}
}
