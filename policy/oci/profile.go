// Package oci reads and writes the seccomp profiles of container runtimes:
// the runtime specification's linux.seccomp, and what Docker's profiles have
// besides (archMap, includes, excludes). See
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
// and https://docs.docker.com/engine/security/seccomp/.
package oci

import (
	"slices"
	"strconv"
	"strings"

	"sbx/policy/capability"
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

// Parse reads a profile. file is what errors call it. An error is an *Error.
func Parse(file string, data []byte) (*Profile, error) {
	r := &reader{file: file, data: data}
	top, err := r.document()
	if err != nil {
		return nil, err
	}
	p := &Profile{file: file}
	if err := r.profile(p, top); err != nil {
		return nil, err
	}
	return p, nil
}

func (r *reader) profile(p *Profile, top *node) error {
	var action, errnoRet *member
	mapped := false
	err := r.object(top, "a profile", []string{
		"defaultAction", "defaultErrnoRet", "architectures", "archMap", "flags", "syscalls", "listenerPath", "listenerMetadata",
	}, func(m member) (err error) {
		switch m.key {
		case "defaultAction":
			action = &m
		case "defaultErrnoRet":
			errnoRet = &m
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
		default:
			return r.fail(m.at, "%s: the profile hands calls to a listener", m.key).
				hint("sbx has none to hand them to; take it out, and write another action for SCMP_ACT_NOTIFY")
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(p.arches) > 0 && mapped && len(p.archMap) > 0 {
		return r.fail(top.at, "the profile has both architectures and archMap").hint("Docker refuses that, too: keep one")
	}
	if action == nil {
		return r.fail(top.at, "the profile has no defaultAction")
	}
	p.otherwise, err = r.action(*action, errnoRet)
	return err
}

// action reads an action with the errno that belongs to it, if any.
func (r *reader) action(m member, errnoRet *member) (seccomp.Action, error) {
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
		return a, r.fail(m.node.at, "%s asks a listener, and sbx has none", name).hint("without one such calls answer ENOSYS: write SCMP_ACT_ERRNO with errnoRet 38")
	case "SCMP_ACT_TRACE":
		return a, r.fail(m.node.at, "%s asks a tracer, and a policy has no such action", name).hint("without one such calls answer ENOSYS: write SCMP_ACT_ERRNO with errnoRet 38")
	default:
		return a, r.fail(m.node.at, "unknown action %q", name).near(name, each([]string{
			"SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG",
		}))
	}
	if errnoRet == nil {
		return a, nil
	}
	n, err := r.number(*errnoRet, seccomp.MaxErrno)
	if err != nil {
		return a, err
	}
	if a.Kind != seccomp.Errno {
		return a, r.fail(errnoRet.at, "%s with %s, which answers no errno", errnoRet.key, name)
	}
	if n == 0 {
		return a, r.fail(errnoRet.node.at, "%s 0 would tell the caller that the call was made", errnoRet.key)
	}
	a.Errno = uint16(n)
	return a, nil
}

func (r *reader) checkArches(m member, names []string) error {
	for _, a := range names {
		if !slices.Contains(archNames(), a) {
			return r.fail(m.node.at, "unknown architecture %q", a).near(a, each(archNames()))
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
			return r.fail(m.node.at, "unknown flag %q", f).near(f, each([]string{
				"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
			}))
		}
	}
	return nil
}

func (r *reader) rules(p *Profile, m member) error {
	list, err := r.list(m)
	if err != nil {
		return err
	}
	total := 0
	for _, e := range list {
		rule, err := r.rule(e)
		if err != nil {
			return err
		}
		if total += len(rule.names) * (1 + len(rule.args)); total > 20000 {
			return r.fail(e.at, "more rules than a filter could hold")
		}
		p.rules = append(p.rules, rule)
	}
	return nil
}

func (r *reader) rule(n *node) (rule, error) {
	out := rule{line: r.fail(n.at, "").Line}
	var action, errnoRet *member
	single := false
	err := r.object(n, "a rule", []string{"names", "name", "action", "errnoRet", "args", "comment", "includes", "excludes"}, func(m member) (err error) {
		switch m.key {
		case "names":
			var names []string
			names, err = r.texts(m)
			out.names = append(out.names, names...)
		case "name":
			var name string
			if name, err = r.text(m.node, m.key); name != "" {
				single, out.names = true, append(out.names, name)
			}
		case "action":
			action = &m
		case "errnoRet":
			errnoRet = &m
		case "args":
			out.args, err = r.args(m)
		case "comment":
			_, err = r.text(m.node, m.key)
		case "includes":
			out.includes, err = r.filter(m)
		case "excludes":
			out.excludes, err = r.filter(m)
		}
		return err
	})
	if err != nil {
		return out, err
	}
	if action == nil {
		return out, r.fail(n.at, "a rule without action")
	}
	if len(out.names) == 0 {
		return out, r.fail(n.at, "a rule that names no system call")
	}
	if single && len(out.names) > 1 {
		return out, r.fail(n.at, "a rule with both name and names")
	}
	for _, name := range out.names {
		if _, err := seccomp.LookupSyscall(name); err != nil && !slices.Contains(foreignCalls(), name) {
			return out, r.fail(n.at, "%v", err)
		}
	}
	out.action, err = r.action(*action, errnoRet)
	return out, err
}

func (r *reader) args(m member) ([]arg, error) {
	list, err := r.list(m)
	if err != nil {
		return nil, err
	}
	var out []arg
	for _, e := range list {
		a := arg{index: -1}
		err := r.object(e, "an entry of args", []string{"index", "value", "valueTwo", "op"}, func(m member) (err error) {
			switch m.key {
			case "index":
				var n uint64
				n, err = r.number(m, 5)
				a.index = int(n)
			case "value":
				a.value, err = r.number(m, 1<<64-1)
			case "valueTwo":
				a.two, err = r.number(m, 1<<64-1)
			case "op":
				if a.op, err = r.text(m.node, m.key); err == nil && !slices.Contains(operators(), a.op) {
					err = r.fail(m.node.at, "unknown operator %q", a.op).near(a.op, each(operators()))
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		switch {
		case a.index < 0:
			return nil, r.fail(e.at, "a comparison without index")
		case a.op == "":
			return nil, r.fail(e.at, "a comparison without op")
		case a.op != maskedEqual && a.two != 0:
			return nil, r.fail(e.at, "valueTwo is for SCMP_CMP_MASKED_EQ, not for %s", a.op)
		}
		out = append(out, a)
	}
	return out, nil
}

const maskedEqual = "SCMP_CMP_MASKED_EQ"

func operators() []string {
	return []string{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", maskedEqual}
}

func (r *reader) filter(m member) (filter, error) {
	var out filter
	err := r.object(m.node, m.key, []string{"caps", "arches", "minKernel"}, func(m member) (err error) {
		switch m.key {
		case "caps":
			if out.caps, err = r.texts(m); err != nil {
				return err
			}
			for _, c := range out.caps {
				if !slices.Contains(capability.Upper(), c) {
					return r.fail(m.node.at, "unknown capability %q", c).near(c, each(capability.Upper()))
				}
			}
		case "arches":
			if out.arches, err = r.texts(m); err != nil {
				return err
			}
			for _, a := range out.arches {
				if !slices.Contains(dockerArches(), a) {
					return r.fail(m.node.at, "unknown architecture %q", a).near(a, each(dockerArches()))
				}
			}
		case "minKernel":
			s, err := r.text(m.node, m.key)
			if err != nil {
				return err
			}
			major, minor, _ := strings.Cut(s, ".")
			x, errX := strconv.ParseUint(major, 10, 16)
			y, errY := strconv.ParseUint(minor, 10, 16)
			if errX != nil || errY != nil {
				return r.fail(m.node.at, "minKernel %q is not a release such as 4.8", s)
			}
			out.kernel = &seccomp.Release{Major: int(x), Minor: int(y)}
		}
		return nil
	})
	return out, err
}
