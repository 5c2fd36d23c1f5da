// Package oci reads and writes the seccomp profiles of container runtimes:
// the runtime specification's linux.seccomp, and what Docker's and Podman's
// profiles have besides (archMap, includes, excludes; errnos by name). See
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
// and https://docs.docker.com/engine/security/seccomp/.
package oci

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// Profile is a profile as its file says it, checked and understood as far as
// that can be done without knowing machine and container. What is not
// understood is an error of Parse's.
type Profile struct {
	file string
	// otherwise is the defaultAction.
	otherwise seccomp.Action
	// arches are those of the filter besides the machine's own; by machine
	// if the profile has an archMap.
	arches    []string
	archMap   map[string][]string
	rules     []rule
	log, spec bool
	// skipped are unknown calls that would be allowed, notes what has no
	// effect on any machine.
	skipped, notes []string
}

// rule is one entry of syscalls.
type rule struct {
	line               int
	names              []string
	action             seccomp.Action
	args               []arg
	includes, excludes filter
}

// arg is one comparison: see seccomp_rule_add(3).
type arg struct {
	index      int
	op         string
	value, two uint64
}

// filter is when a rule counts, as Docker has it.
type filter struct {
	caps, arches []string
	kernel       *seccomp.Release
}

// Parse reads a profile. file is what errors call it. An error is a *policy.Error.
func Parse(file string, data []byte) (*Profile, error) {
	return (&reader{file: file, data: data}).parse()
}

// ParseLossy is Parse, but skips system calls that sbx does not know where
// they would be allowed, which refuses them. Skipped names them.
func ParseLossy(file string, data []byte) (*Profile, error) {
	return (&reader{file: file, data: data, lossy: true}).parse()
}

// Skipped lists what ParseLossy skipped, one line each.
func (p *Profile) Skipped() []string { return p.skipped }

func (r *reader) parse() (*Profile, error) {
	top, err := r.document()
	if err != nil {
		return nil, err
	}
	p := &Profile{file: r.file}
	if err := r.profile(p, top); err != nil {
		return nil, err
	}
	p.skipped, p.notes = r.skipped, r.notes
	return p, nil
}

func (r *reader) profile(p *Profile, top *node) error {
	var action *member
	var ret returned
	mapped := false
	err := r.object(top, "a profile", []string{
		"defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "flags", "syscalls", "listenerPath",
		"listenerMetadata", "comment",
	}, func(m member) (err error) {
		switch m.key {
		case "defaultAction":
			action = &m
		case "defaultErrnoRet", "defaultErrno":
			err = r.returned(&ret, m)
		case "architectures":
			if p.arches, err = r.texts(m); err == nil {
				err = r.checkArches(m, p.arches)
			}
		case "archMap":
			mapped, err = true, r.archMap(p, m)
		case "flags":
			err = r.flags(p, m)
		case "syscalls":
			err = r.rules(p, m)
		case "comment":
			_, err = r.text(m.node, m.key)
		default:
			if name, ok := m.value.(string); ok && name == "" {
				return nil // no listener
			}
			return hint(r.fail(m.at, "%s: the profile hands calls to a listener", m.key),
				"sbx has none to hand them to; take it out, and write another action for SCMP_ACT_NOTIFY")
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(p.arches) > 0 && mapped && len(p.archMap) > 0 {
		return hint(r.fail(top.at, "the profile has both architectures and archMap"), "Docker refuses that, too: keep one")
	}
	if action == nil {
		return r.fail(top.at, "the profile has no defaultAction")
	}
	p.otherwise, err = r.action(*action, ret)
	return err
}

// returned is the errno that an action answers, as far as it is said.
type returned struct {
	at    *member
	errno uint16
}

// returned reads an errno: a number as errnoRet and, in Podman's profiles, also
// a name as errno.
func (r *reader) returned(to *returned, m member) error {
	var n uint64
	if name, ok := m.value.(string); ok && !strings.HasSuffix(m.key, "Ret") {
		if name == "" {
			return nil
		}
		named, err := seccomp.LookupErrno(name)
		if err != nil {
			return r.fail(m.node.at, "%s: %v", m.key, err)
		}
		n = uint64(named)
	} else {
		var err error
		if n, err = r.number(m, seccomp.MaxErrno); err != nil {
			return err
		}
	}
	if to.at != nil && to.errno != uint16(n) {
		return r.fail(m.at, "%s and %s are two errnos", to.at.key, m.key)
	}
	to.at, to.errno = &m, uint16(n)
	return nil
}

// action reads an action with the errno that belongs to it, if any.
func (r *reader) action(m member, ret returned) (seccomp.Action, error) {
	name, err := r.text(m.node, m.key)
	if err != nil {
		return seccomp.Action{}, err
	}
	var a seccomp.Action
	switch name {
	case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD":
		a.Kind = seccomp.KillThread
	case "SCMP_ACT_KILL_PROCESS":
		a.Kind = seccomp.KillProcess
	case "SCMP_ACT_TRAP":
		a.Kind = seccomp.Trap
	case "SCMP_ACT_ERRNO":
		a = seccomp.Action{Kind: seccomp.Errno, Errno: 1} // EPERM
	case "SCMP_ACT_ALLOW":
		a.Kind = seccomp.Allow
	case "SCMP_ACT_LOG":
		a.Kind = seccomp.Log
	case "SCMP_ACT_NOTIFY":
		return a, hint(r.fail(m.node.at, "%s asks a listener, and sbx has none", name),
			"without one such calls answer ENOSYS: write SCMP_ACT_ERRNO with errnoRet 38")
	case "SCMP_ACT_TRACE":
		return a, hint(r.fail(m.node.at, "%s asks a tracer, and a policy has no such action", name),
			"without one such calls answer ENOSYS: write SCMP_ACT_ERRNO with errnoRet 38")
	default:
		return a, near(r.fail(m.node.at, "unknown action %q", name), name, each([]string{
			"SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO",
			"SCMP_ACT_ALLOW", "SCMP_ACT_LOG",
		}))
	}
	if ret.at == nil {
		return a, nil
	}
	if a.Kind != seccomp.Errno {
		line := r.fail(ret.at.at, "").Line
		r.notes = append(r.notes, fmt.Sprintf("%s:%d: %s has no effect with %s, which answers no errno", r.file, line,
			ret.at.key, name))
		return a, nil
	}
	if ret.errno == 0 {
		return a, r.fail(ret.at.node.at, "%s 0 would tell the caller that the call was made", ret.at.key)
	}
	a.Errno = ret.errno
	return a, nil
}

func (r *reader) checkArches(m member, names []string) error {
	for _, a := range names {
		if !slices.Contains(archNames(), a) {
			return near(r.fail(m.node.at, "unknown architecture %q", a), a, each(archNames()))
		}
	}
	return nil
}

func (r *reader) archMap(p *Profile, m member) error {
	list, err := r.list(m)
	if err != nil {
		return err
	}
	p.archMap = map[string][]string{}
	for _, e := range list {
		var arch string
		var subs []string
		err := r.object(e, "an entry of archMap", []string{"architecture", "subArchitectures"}, func(m member) (err error) {
			if m.key == "architecture" {
				arch, err = r.text(m.node, m.key)
				return err
			}
			if subs, err = r.texts(m); err == nil {
				err = r.checkArches(m, subs)
			}
			return err
		})
		if err == nil {
			err = r.checkArches(member{node: e}, []string{arch})
		}
		if err != nil {
			return err
		}
		if _, ok := p.archMap[arch]; ok {
			return r.fail(e.at, "%s is in archMap already", arch)
		}
		p.archMap[arch] = subs
	}
	return nil
}

func (r *reader) flags(p *Profile, m member) error {
	flags, err := r.texts(m)
	if err != nil {
		return err
	}
	for _, f := range flags {
		switch f {
		case "SECCOMP_FILTER_FLAG_TSYNC":
			// For all threads: the target has one when the filter is loaded.
		case "SECCOMP_FILTER_FLAG_LOG":
			p.log = true
		case "SECCOMP_FILTER_FLAG_SPEC_ALLOW":
			p.spec = true
		case "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
			return r.fail(m.node.at, "flag %q is for a listener, and sbx has none", f)
		default:
			return near(r.fail(m.node.at, "unknown flag %q", f), f, each([]string{
				"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
			}))
		}
	}
	return nil
}
