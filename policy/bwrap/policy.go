package bwrap

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/policy/capability"
)

// finish makes the policy of what was read.
func (r *reader) finish() error {
	if len(r.line.Command) == 0 {
		return errors.New("there is no program to run")
	}
	if len(r.sources) > 0 {
		return words(sourceAlone)
	}
	p := &policy.Policy{Name: "bwrap", Version: 1, Summary: "Imported from a command line of bubblewrap's"}
	r.line.Policy = p
	if err := r.spaces(p); err != nil {
		return err
	}
	if err := r.privileges(p); err != nil {
		return err
	}
	if err := r.files(p); err != nil {
		return err
	}
	r.environment(p)
	if r.session {
		p.Process.Terminal = "new-session"
	}
	p.Process.SELinux = r.label
	return nil
}

// spaces says which namespaces are new. Bubblewrap's mount namespace always is.
func (r *reader) spaces(p *policy.Policy) error {
	set := map[string]*string{"user": &p.Namespaces.User, "ipc": &p.Namespaces.IPC, "pid": &p.Namespaces.PID,
		"net": &p.Namespaces.Net, "uts": &p.Namespaces.UTS, "cgroup": &p.Namespaces.Cgroup}
	for kind, field := range set {
		*field = map[bool]string{true: "new", false: "host"}[r.namespaces[kind]]
	}
	if !r.namespaces["user"] {
		p.Namespaces.User = "auto"
	}
	for _, j := range r.join {
		if j.kind == "user" && r.namespaces["user"] {
			return words("--userns is not compatible with --unshare-user")
		}
		*set[j.kind] = "/proc/self/fd/" + strconv.Itoa(j.fd)
	}
	entered := slices.ContainsFunc(r.join, func(j joined) bool { return j.kind == "user" })
	for _, id := range []struct {
		name       string
		value, own int
		field      **int
	}{{"--uid", r.uid, r.options.UID, &p.Namespaces.UID}, {"--gid", r.gid, r.options.GID, &p.Namespaces.GID}} {
		switch {
		case id.value < 0 && entered: // bubblewrap keeps the caller's
			*id.field = &id.own
		case id.value < 0:
		case !r.namespaces["user"] && !entered:
			return words("Specifying %s requires --unshare-user or --userns", id.name)
		default:
			*id.field = &id.value
		}
	}
	if r.noUsers && !r.namespaces["user"] && !entered {
		return words("--disable-userns requires --unshare-user")
	}
	if len(r.line.UsersBlock) > 0 {
		switch {
		case !r.namespaces["user"]:
			return words("--userns-block-fd requires --unshare-user")
		case len(r.line.Info) == 0:
			return words("--userns-block-fd requires --info-fd")
		case r.noUsers && r.given["--disable-userns"]:
			return words("--disable-userns is not compatible with --userns-block-fd")
		}
		p.Namespaces.UID, p.Namespaces.GID = nil, nil // they are what is mapped
	}
	if r.hostname != "" && !r.namespaces["uts"] {
		return words("Specifying --hostname requires --unshare-uts")
	}
	p.Namespaces.Hostname = r.hostname
	switch {
	case r.line.First && !r.namespaces["pid"]:
		return words("Specifying --as-pid-1 requires --unshare-pid")
	case r.line.First && len(r.line.Locks) > 0:
		return words("Specifying --as-pid-1 and --lock-file is not permitted")
	}
	return nil
}

// privileges are the capabilities and the filter. Who is given the capabilities for
// it may make further sandboxes inside, but for root, whose /proc they would open.
func (r *reader) privileges(p *policy.Policy) error {
	kept := r.caps.kept
	if r.caps.all {
		kept = capability.Names()
	}
	kept = slices.Clone(kept)
	slices.Sort(kept)
	p.Extends = []string{"kernel"}
	p.Seccomp.Allow = []string{"@known"}
	yes := true
	nest := (r.options.Nest || slices.Contains(kept, "sys_admin")) && !r.noUsers && !r.options.Root &&
		len(r.line.UsersBlock) == 0
	if nest {
		// A sandbox inside is made in a user namespace of its own, where every program has all
		// capabilities. In this one the program could take the policy's mounts off.
		p.Process.Nest = &yes
		kept = slices.DeleteFunc(kept, func(k string) bool { return k == "sys_admin" })
		if p.Namespaces.PID == "host" {
			p.Namespaces.PID = "new" // a sandbox inside needs a /proc of its own
		}
	} else {
		p.Seccomp.Deny = []string{"@clock", "@mount", "open_by_handle_at"}
	}
	if len(kept) > 0 {
		if p.Namespaces.User == "auto" {
			p.Namespaces.User = "new"
		}
		for _, k := range kept {
			p.Process.Capabilities = append(p.Process.Capabilities, "?"+k)
		}
		p.Process.Ambient = &yes
	}
	return nil
}

// detail notes what the policy does not say of a path, and what it is by the policy alone.
func (r *reader) detail(name string, d Detail, lost string, args ...any) {
	if r.line.Details == nil {
		r.line.Details = map[string]Detail{}
	}
	r.line.Details[name] = d
	r.lose(lost, args...)
}

// files says what is inside.
func (r *reader) files(p *policy.Policy) error {
	if err := r.ownDev(); err != nil {
		return err
	}
	f := &p.Files
	no := false
	for name, field := range map[string]**bool{"/proc": &f.Proc, "/dev": &f.Dev} {
		// In a root of the host's there would be the host's, whose processes and devices
		// are nobody's to reach.
		if _, n := r.root.over(name); n.kind != own && (r.root[name] != nil || n.kind < read || n.kind > layered) {
			*field = &no
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.root)) {
		n := r.root[name]
		entry := name
		if n.optional || n.kind == write || n.kind == device { // which need not be the caller's to write
			entry = "?" + name
		}
		var o policy.PathOptions
		if n.from != name && n.from != "" {
			o.From = n.from
		}
		switch n.kind {
		case private, made:
			r.empty(f, name, n, &o)
		case messages:
			f.Tmpfs = append(f.Tmpfs, name)
			o.Mode = "1777"
			r.detail(name, Detail{Queues: true}, "%s is a tmpfs, and has no message queues", text.Quote(name))
		case device:
			switch below := policy.Within(n.from, "/dev") && n.from != "/dev"; {
			case below && n.from == name:
				f.Devices = append(f.Devices, map[bool]string{true: "?"}[n.optional]+name)
				continue
			case below:
				f.Read = append(f.Read, entry)
				r.detail(name, Detail{Device: true}, "%s is there, and its devices cannot be opened", text.Quote(name))
			default:
				if r.allDevices(f, name, n); name == "/dev" {
					continue
				}
				f.Write = append(f.Write, entry)
			}
		case write:
			f.Write = append(f.Write, entry)
		case read:
			f.Read = append(f.Read, entry)
		case layered:
			f.Overlay = append(f.Overlay, entry)
			o.Upper, o.Work = n.upper, n.work
			if n.readOnly || len(n.under) > 0 {
				r.detail(name, Detail{Under: n.under, ReadOnly: n.readOnly},
					"%s is an overlay of %s alone, and can be written", text.Quote(name), text.Quote(n.from))
			}
		case file:
			mode, err := octal("--perms", n.mode)
			if err != nil {
				return err
			}
			r.detail(name, Detail{Own: true, Writable: n.writable, Mode: mode},
				"%s is a file that all may read and nobody may write", text.Quote(name))
			if f.Inline == nil {
				f.Inline = map[string]string{}
			}
			f.Inline[name] = n.text
		case link:
			if f.Symlinks == nil {
				f.Symlinks = map[string]string{}
			}
			f.Symlinks[name], o.From = n.from, ""
		}
		if o != (policy.PathOptions{}) {
			if f.Paths == nil {
				f.Paths = map[string]policy.PathOptions{}
			}
			f.Paths[name] = o
		}
	}
	r.sockets(f)
	f.OwnSockets = new(bool)
	*f.OwnSockets = true
	return nil
}

// empty is a tmpfs or a directory, which can be written as one. The root stays read-only.
func (r *reader) empty(f *policy.Files, name string, n *node, o *policy.PathOptions) {
	o.Mode, o.Size = n.mode, n.size
	if o.Mode == "" {
		o.Mode = "0755"
	}
	switch at, over := r.root.over(path.Dir(name)); {
	case name == "/":
		*o = policy.PathOptions{}
	case n.readOnly:
		r.detail(name, Detail{ReadOnly: true}, "%s is a tmpfs that can be written", text.Quote(name))
		f.Tmpfs = append(f.Tmpfs, name)
	case n.kind == made && at != "/" && over.kind <= made && !over.readOnly:
		f.Directories = append(f.Directories, name) // in a tmpfs they can be written
	case n.kind == made && over.readOnly:
		o.Size = ""
		f.Directories = append(f.Directories, name)
	default:
		f.Tmpfs = append(f.Tmpfs, name)
	}
}

// allDevices shows all of the host's devices, where the line shows its root or its /dev as it is.
func (r *reader) allDevices(f *policy.Files, name string, n *node) {
	switch {
	case name == n.from && (name == "/" || name == "/dev"):
		f.Dev = nil
		f.Devices = append(f.Devices, r.options.Devices...)
	case policy.Within("/dev", n.from):
		r.lose("--dev-bind: the devices of %s are not there under another name", n.from)
	}
}

// environment says what of it crosses.
func (r *reader) environment(p *policy.Policy) {
	if !r.line.Clear {
		p.Process.Env = []string{"*"}
	} else {
		p.Process.Env = []string{"PWD"}
	}
	p.Process.Env = append(p.Process.Env, r.line.Set...)
}
