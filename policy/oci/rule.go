package oci

import (
	"slices"
	"strconv"
	"strings"

	"sbx/policy/capability"
	"sbx/policy/seccomp"
)

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
		if len(rule.names) == 0 {
			continue // all were skipped
		}
		p.rules = append(p.rules, rule)
	}
	return nil
}

func (r *reader) rule(n *node) (rule, error) {
	out := rule{line: r.lineOf(n.at)}
	var action *member
	var ret returned
	single := false
	err := r.object(n, "a rule", []string{"names", "name", "action", "errnoRet", "errno", "args", "comment", "includes",
		"excludes"}, func(
		m member,
	) (err error) {
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
		case "errnoRet", "errno":
			err = r.returned(&ret, m)
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
	if out.action, err = r.action(*action, ret); err != nil {
		return out, err
	}
	var known []string
	for _, name := range out.names {
		_, err := seccomp.LookupSyscall(name)
		if err == nil || slices.Contains(foreignCalls(), name) {
			known = append(known, name)
			continue
		}
		bad := r.fail(n.at, "%v", err)
		if !r.lossy || out.action.Kind != seccomp.Allow && out.action.Kind != seccomp.Log {
			return out, bad
		}
		r.skipped = append(r.skipped, bad.Error()+": skipped, and so refused as other unknown calls are")
	}
	out.names = known
	return out, nil
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
					err = near(r.fail(m.node.at, "unknown operator %q", a.op), a.op, each(operators()))
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
					return near(r.fail(m.node.at, "unknown capability %q", c), c, each(capability.Upper()))
				}
			}
		case "arches":
			if out.arches, err = r.texts(m); err != nil {
				return err
			}
			for _, a := range out.arches {
				if !slices.Contains(dockerArches(), a) {
					return near(r.fail(m.node.at, "unknown architecture %q", a), a, each(dockerArches()))
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
