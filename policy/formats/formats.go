// Package formats writes resolved policies in the formats of other programs:
// profiles for container runtimes, security contexts for Kubernetes, lines for
// systemd units, programs for bubblewrap. Each says what its format leaves
// out.
package formats

import (
	"bytes"
	"fmt"
	"strings"

	"sbx/policy"
	"sbx/policy/oci"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/compile"
	"sbx/policy/systemd"
)

// File is one file of an export.
type File struct {
	// Name is what the file is to be called where another of the export names
	// it, or empty.
	Name string
	Data []byte
}

// Names lists the formats.
func Names() []string { return []string{"oci", "docker", "kubernetes", "systemd", "bpf", "bwrap"} }

// Export writes the resolved policy for a machine of architecture native. Of
// several files the first is the one that names the others. losses say, one
// line each, what the format cannot say.
func Export(p *policy.Policy, format string, native seccomp.Arch) (files []File, losses []string, err error) {
	switch format {
	case "oci", "docker":
		data, losses, err := oci.Export(p.Calls(), native)
		return []File{{Data: data}}, append(losses, beyond(p, format)...), err
	case "kubernetes":
		return kubernetes(p, native)
	case "systemd":
		data, losses, err := systemd.Export(p, native)
		return []File{{Data: data}}, losses, err
	case "bpf", "bwrap":
		programs, err := compile.Compile(p.Calls(), native, nil)
		if err != nil {
			return nil, nil, err
		}
		if len(programs) != 1 {
			return nil, nil, fmt.Errorf("write %s: the filter has %d programs, and the format takes one", format, len(programs))
		}
		return []File{{Data: programs[0]}}, append(loading(p), beyond(p, format)...), nil
	}
	return nil, nil, fmt.Errorf("no format %q", format)
}

// loading lists what matters when the filter is loaded and is no part of its
// program.
func loading(p *policy.Policy) (losses []string) {
	s := p.Calls()
	for _, f := range []struct {
		key, flag string
		on        *bool
	}{
		{"log", "LOG", s.Log}, {"spec_allow", "SPEC_ALLOW", s.SpecAllow},
		{"wait_killable", "WAIT_KILLABLE_RECV", s.WaitKillable},
	} {
		if policy.IsTrue(f.on) {
			losses = append(losses, fmt.Sprintf("seccomp.%s: SECCOMP_FILTER_FLAG_%s belongs to loading, not to the program",
				f.key, f.flag))
		}
	}
	for _, r := range s.Rules {
		if r.Action.Kind == seccomp.Notify {
			losses = append(losses,
				"seccomp.rule: notify needs whoever loads the program to listen; else such calls answer ENOSYS")
			break
		}
	}
	return losses
}

// container says of which namespaces a container of the format has its own
// anyway.
func container(format string) bool { return format == "docker" || format == "kubernetes" }

// beyond lists what a policy says besides system calls, and how to say it to
// the program that takes the format, where that is known.
func beyond(p *policy.Policy, format string) (losses []string) {
	lose := func(key, format string, args ...any) {
		losses = append(losses, key+": "+fmt.Sprintf(format, args...))
	}
	flag := func(docker, bwrap string) string {
		say := map[string]string{"docker": docker, "bwrap": bwrap}[format]
		if say == "" {
			return ""
		}
		return "; give " + map[string]string{"docker": "docker run ", "bwrap": "bwrap "}[format] + say
	}
	n := p.Namespaces
	for _, k := range []struct{ name, value, docker, bwrap string }{
		{"user", n.User, "", "--unshare-user"}, {"mount", n.Mount, "", ""}, {"pid", n.PID, "--pid=", "--unshare-pid"},
		{"net", n.Net, "--network=", "--unshare-net"}, {"ipc", n.IPC, "--ipc=", "--unshare-ipc"},
		{"uts", n.UTS, "--uts=", "--unshare-uts"},
		{"cgroup", n.Cgroup, "--cgroupns=", "--unshare-cgroup"}, {"time", n.Time, "", ""},
	} {
		value := k.value
		switch {
		case value == "" || value == "auto": // a means, not an end
		case container(format) && value == "new" && k.name != "net" && k.name != "time":
		case !container(format) && value == "host", format == "bwrap" && k.name == "mount":
		case container(format) && value == "host" && (k.name == "time" || k.name == "user"):
		case value == "new" && k.name == "net":
			lose("namespaces.net", "no network but a loopback%s", flag("--network=none", k.bwrap))
		case value == "new":
			lose("namespaces."+k.name, "a new one%s", flag("", k.bwrap))
		case value == "host" && k.docker != "":
			lose("namespaces."+k.name, "the host's%s", flag(k.docker+"host", ""))
		default:
			lose("namespaces."+k.name, "%q", value)
		}
	}
	if format != "kubernetes" {
		var keep []string
		for _, c := range p.Process.Capabilities {
			keep = append(keep, strings.ToUpper(strings.TrimPrefix(c, "?")))
		}
		docker, bwrap, names := "--cap-drop=ALL", "--cap-drop ALL", "none"
		for _, c := range keep {
			docker, bwrap = docker+" --cap-add="+c, bwrap+" --cap-add CAP_"+c
			names = strings.ToLower(strings.Join(keep, ", "))
		}
		lose("process.capabilities", "kept are %s%s", names, flag(docker, bwrap))
		if format != "bwrap" { // which always sees to it
			lose("process", "no new privileges%s", flag("--security-opt=no-new-privileges", ""))
		}
	}
	for _, l := range []struct {
		key  string
		list []string
	}{
		{"files.read", p.Files.Read}, {"files.write", p.Files.Write}, {"files.tmpfs", p.Files.Tmpfs},
		{"files.hide", p.Files.Hide},
		{"files.unhide", p.Files.Unhide}, {"files.inspect", p.Files.Inspect},
		{"files.guard", p.Files.Guard}, {"files.unguard", p.Files.Unguard},
		{"files.overlay", p.Files.Overlay}, {"files.directories", p.Files.Directories}, {"files.sockets", p.Files.Sockets},
		{"files.devices", p.Files.Devices},
		{"process.env", p.Process.Env},
	} {
		if len(l.list) > 0 {
			lose(l.key, "%s", some(l.list))
		}
	}
	if p.Process.Landlock == "require" {
		lose("process.landlock", "required")
	}
	restrictions(p, lose, flag)
	return losses
}

// some lists a few of many.
func some(list []string) string {
	if len(list) > 6 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:5], ", "), len(list)-5)
	}
	return strings.Join(list, ", ")
}

// kubernetes writes a container's securityContext and the profile it names,
// which belongs on each node, below the kubelet's seccomp directory.
func kubernetes(p *policy.Policy, native seccomp.Arch) ([]File, []string, error) {
	profile, losses, err := oci.Export(p.Calls(), native)
	if err != nil {
		return nil, nil, err
	}
	name := "sbx/" + fileName(p.Name) + ".json"
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Policy %s. The profile belongs on each node, as /var/lib/kubelet/seccomp/%s.\n",
		fileName(p.Name), name)
	b.WriteString("securityContext:\n  allowPrivilegeEscalation: false\n  privileged: false\n  capabilities:\n    " +
		"drop: [\"ALL\"]\n")
	if caps := p.Process.Capabilities; len(caps) > 0 {
		b.WriteString("    add:\n")
		for _, c := range caps {
			fmt.Fprintf(&b, "    - %s\n", strings.ToUpper(strings.TrimPrefix(c, "?")))
		}
	}
	if p.Namespaces.Mount == "new" {
		b.WriteString("  readOnlyRootFilesystem: true\n")
	}
	fmt.Fprintf(&b, "  seccompProfile:\n    type: Localhost\n    localhostProfile: %s\n", name)
	return []File{{Data: b.Bytes()}, {Name: name, Data: profile}}, append(losses, beyond(p, "kubernetes")...), nil
}

// fileName is a policy's name, or its path's last part, as a name that needs
// no quotes anywhere.
func fileName(name string) string {
	name = strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".toml")
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, name)
	if name = strings.TrimLeft(name, ".-"); name == "" {
		return "policy"
	}
	return name
}
