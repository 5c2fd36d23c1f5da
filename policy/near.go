package policy

import (
	"slices"
	"strings"
)

// unknownKey names the key that was probably meant: the nearest neighbour in the
// same table, what people mean there by that name, or a key of that name in the
// only other table that has one.
func (r *reader) unknownKey(key string) *fault {
	var here, elsewhere []string
	base := key[strings.LastIndexByte(key, '.')+1:]
	prefix := key[:len(key)-len(base)]
	for _, f := range r.fields {
		name := f.key[strings.LastIndexByte(f.key, '.')+1:]
		if f.key == prefix+name {
			here = append(here, name)
		}
		if name == base {
			elsewhere = append(elsewhere, f.key)
		}
	}
	if prefix == "" {
		here = append(here, tables()...)
	}
	if prefix == "seccomp." {
		here = append(here, "rule")
	}
	f := faultf("unknown key %q", key)
	near := nearest(base, here)
	if near != "" {
		near = prefix + near
	} else {
		near = meant(key)
	}
	switch {
	case near != "":
	case len(elsewhere) == 1:
		near = elsewhere[0]
	case len(elsewhere) > 1:
		return f.or("%s are keys, each below its own table", strings.Join(elsewhere, " and "))
	default:
		return f.like(base, here)
	}
	if near == "version" && r.said[near] == 0 {
		r.said[near], _ = r.place(0) // one error is enough
	}
	return f.or("did you mean %q?", near)
}

// meant is the key that people mean by a name that other programs have, or "".
func meant(key string) string {
	table, name, _ := strings.Cut(key, ".")
	if name == "" {
		table, name = "", table
	}
	for _, k := range [...]struct{ key, names string }{
		{"summary", "description title"},
		{"extends", "inherits inherit include includes base from"},
		{"namespaces.net", "network"},
		{"namespaces.mount", "mnt fs"},
		{"namespaces.pid", "process processes"},
		{"files.read", "allow show ro readonly readable reads read_only bind binds ro_bind paths"},
		{"files.write", "rw writable writeable writes readwrite read_write"},
		{"files.hide", "deny block exclude hidden mask masked forbid secrets"},
		{"files.tmpfs", "tmp temp private"},
		{"files.directories", "dirs mkdir"},
		{"files.file", "files inline content"},
		{"files.symlink", "links"},
		{"files.sockets", "sock unix"},
		{"files.devices", "device dev_bind devs"},
		{"network.bind", "inbound server"},
		{"network.connect", "dial client"},
		{"network.hosts", "allow allowed allowlist outbound egress domains domain names"},
		{"network.listen", "publish forward expose"},
		{"process.capabilities", "caps cap"},
		{"process.env", "environment environ vars"},
		{"process.terminal", "tty"},
		{"limits.processes", "pids procs tasks nproc threads"},
		{"limits.memory", "mem ram"},
		{"limits.cpu", "cpus"},
		{"limits.time", "timeout wall"},
		{"limits.open_files", "files fds nofile"},
		{"limits.file_size", "size fsize"},
		{"seccomp.allow", "allowed allowlist whitelist"},
		{"seccomp.deny", "denied denylist blacklist block forbid"},
		{"seccomp.default", "action"},
		{"seccomp.architectures", "arch archs"},
		{"expect.allow", "works pass ok"},
		{"expect.deny", "fails fail refuse forbid"},
	} {
		in, _, dotted := strings.Cut(k.key, ".")
		if (dotted && in == table || !dotted && table == "") && slices.Contains(strings.Fields(k.names), name) {
			return k.key
		}
	}
	if table == "network" && slices.Contains([]string{"mode", "net", "enabled", "host"}, name) {
		return "namespaces.net"
	}
	return ""
}
