package policy

import (
	"path"
	"slices"
	"strings"
)

// unhidden finds exceptions from hide that show ordinary names of secrets, or the
// directories in which people keep their sources.
func (l *linter) unhidden() {
	for _, e := range l.whole.Files.Unhide {
		pattern, tree := strings.CutSuffix(withoutMark(e), "/")
		if strings.ContainsAny(pattern, "/$") {
			continue // a path: it is meant
		}
		names := []string{".env", "prod.env", "key.pem", "server.key", "id_rsa", "id_ed25519", ".netrc", ".npmrc",
			"auth.json"}
		if tree {
			names = []string{"src", "config", "app", "services", "deploy"}
		}
		for _, name := range names {
			if ok, err := path.Match(pattern, name); ok || err != nil {
				l.add("secret-shown", "files.unhide", e, "%q shows what is hidden otherwise, such as %s", e, name)
				break
			}
		}
	}
}

// reads says whether files.read names the path.
func (f *Files) reads(p string) bool {
	return slices.ContainsFunc(f.Read, func(e string) bool { return withoutMark(e) == p })
}

// writable finds what can be written and runs or is obeyed on the host.
func (l *linter) writable() {
	f := &l.whole.Files
	check := func(key, entry, p string) {
		d, runs := obeyed(p)
		inside := d != "" && d != p && Within(p, d)
		switch {
		case runs && inside:
			l.add("path-writable", key, entry, "%q can be written, in %s, which is in PATH: what is left there runs on the host",
				entry, d)
		case runs:
			l.add("path-writable", key, entry, "%q makes %s writable, which is in PATH: what is left there runs on the host",
				entry, d)
			d = placed(p, obeyedPlaces[:1])
			if p == "/" {
				l.add("startup-writable", key, entry, "%q makes %s writable, which other programs obey", entry, d)
			}
		case inside:
			l.add("startup-writable", key, entry, "%q can be written, in %s, where other programs find what they obey", entry, d)
		case d != "":
			l.add("startup-writable", key, entry, "%q makes %s writable, which other programs obey", entry, d)
		}
	}
	for _, e := range f.Write {
		p := withoutMark(e)
		if from := f.Paths[p].From; from != "" {
			p = from
		}
		if path.Base(p) == ".git" && f.reads(p+"/hooks") && f.reads(p+"/config") {
			continue // what git runs and obeys is read-only: this is for commits
		}
		check("files.write", e, p)
	}
	all := field{options: func(p *Policy) *map[string]PathOptions { return &p.Files.Paths }}
	for _, at := range all.paths(l.whole) {
		if upper := f.Paths[at].Upper; upper != "" {
			check("files.path.upper", at, upper)
		}
	}
	for _, list := range []struct {
		key     string
		entries []string
	}{{"files.read", f.Read}, {"files.overlay", f.Overlay}} {
		for _, e := range list.entries {
			p := withoutMark(e)
			if from := f.Paths[p].From; from != "" {
				p = from
			}
			if d := f.secret(p); d != "" {
				if d != p && Within(p, d) {
					l.add("secret-shown", list.key, e, "%q lies in %s, with secrets or what is other programs' own", e, d)
					continue
				}
				l.add("secret-shown", list.key, e, "%q shows %s, with secrets or what is other programs' own", e, d)
			}
		}
	}
	if l.whole.Namespaces.IPC == "host" {
		l.add("host-ipc", "namespaces.ipc", "",
			"namespaces.ipc is \"host\": the shared memory and message queues of other programs are there")
	}
	for _, list := range []struct {
		key     string
		entries []string
	}{{"files.read", l.whole.Files.Read}, {"files.write", l.whole.Files.Write}, {"files.overlay", l.whole.Files.Overlay}} {
		for _, e := range list.entries {
			p := withoutMark(e)
			if from := f.Paths[p].From; from != "" {
				p = from
			}
			if Within(p, "/proc") {
				l.add("host-proc", list.key, e, "%q shows the machine's processes", e)
			} else if Within(p, "/dev") && !strings.HasPrefix(p, "/dev/null") {
				l.add("host-device", list.key, e, "%q shows a device of the machine", e)
			}
		}
	}
	for _, e := range f.Devices {
		in := strings.TrimPrefix(withoutMark(e), "/dev/")
		for _, prefix := range strings.Fields("sd vd xvd nvme mmcblk dm- mapper disk block loop md sr mem kmem port kmsg " +
			"input uinput hidraw uhid bus usb raw vcs tty console pts mei ipmi watchdog") {
			if strings.HasPrefix(in, prefix) {
				l.add("host-device", "files.devices", e,
					"%q is near to the whole machine: disks, memory, keyboards and consoles know nothing of this policy", e)
				break
			}
		}
	}
	if l.whole.Namespaces.PID == "host" && NotFalse(l.whole.Files.Proc) {
		l.add("host-proc", "", "",
			"namespaces.pid is \"host\": /proc shows the machine's processes, and without Landlock the target can signal them")
	}
	if l.whole.Namespaces.None() {
		l.add("no-namespaces", "namespaces.all", "",
			"namespaces.all is \"host\": no namespace is made, and Landlock and filters alone restrict the target")
	}
	if m := l.whole.Namespaces.Mount; m != "" && m != "new" {
		l.add("host-mount", "", "",
			"namespaces.mount is %q: the host's files are there, and Landlock alone keeps them from being read and written", m)
	}
}

// sockets finds sockets by which services do what the policy denies, and those
// that are shown in vain: only sockets lets the target connect.
func (l *linter) sockets() {
	f := &l.whole.Files
	for _, e := range f.Sockets {
		p := withoutMark(e)
		if slices.ContainsFunc(f.Tmpfs, func(d string) bool { return withoutMark(d) == p }) {
			continue // the sandbox's own
		}
		if d := placed(p, servicePlaces[:]); d != "" {
			l.add("socket", "files.sockets", e, "%q opens %s: the service behind it acts without this policy", e, d)
		}
	}
	named := func(p string) bool {
		return slices.ContainsFunc(f.Sockets, func(e string) bool { return Within(p, withoutMark(e)) })
	}
	for _, list := range []struct {
		key     string
		entries []string
	}{{"files.read", f.Read}, {"files.write", f.Write}} {
		for _, e := range list.entries {
			if p := withoutMark(e); slices.Contains(servicePlaces[:], p) && !named(p) {
				l.add("socket", list.key, e, "%q is shown in vain: the target can connect only to what files.sockets names", e)
			}
		}
	}
}
