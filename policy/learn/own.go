package learn

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// Own is a policy as it stands in its file, without what it extends.
type Own struct {
	Policy *policy.Policy
	// comments are those behind entries, by the list's key and the entry.
	comments map[string]string
}

// Parse reads a policy's file to merge it.
func Parse(name string, data []byte) (*Own, error) {
	p, err := policy.Parse(name, data)
	if err != nil {
		return nil, err
	}
	o := &Own{Policy: p, comments: map[string]string{}}
	lines := strings.Split(string(data), "\n")
	for _, l := range lists(p) {
		for _, e := range *l.list {
			at, ok := p.Origin(l.key, e)
			if !ok || at.Line < 1 || at.Line > len(lines) {
				continue
			}
			line := lines[at.Line-1]
			// One that the entry stands in a line of its own with, as policies are printed.
			if i := strings.LastIndex(line, ",  # "); i >= 0 && strings.HasPrefix(strings.TrimSpace(line), `"`) {
				o.comments[l.key+"\x00"+e] = line[i+len(",  # "):]
			}
		}
	}
	return o, nil
}

// Tight says that the policy was made to allow no call that was not seen.
func (o *Own) Tight() bool {
	return slices.Contains(o.Policy.Seccomp.Allow, "!@system-service")
}

// listOf is one list of a policy.
type listOf struct {
	key  string
	list *[]string
}

// lists are those of a policy that are united with others'.
func lists(p *policy.Policy) []listOf {
	return []listOf{
		{"files.read", &p.Files.Read}, {"files.write", &p.Files.Write}, {"files.hide", &p.Files.Hide},
		{"files.unhide", &p.Files.Unhide}, {"files.inspect", &p.Files.Inspect}, {"files.guard", &p.Files.Guard},
		{"files.unguard", &p.Files.Unguard}, {"files.tmpfs", &p.Files.Tmpfs}, {"files.overlay", &p.Files.Overlay},
		{"files.directories", &p.Files.Directories}, {"files.devices", &p.Files.Devices}, {"files.sockets",
			&p.Files.Sockets},
		{"network.bind", &p.Network.Bind}, {"network.connect", &p.Network.Connect},
		{"network.hosts", &p.Network.Hosts},
		{"process.capabilities", &p.Process.Capabilities}, {"process.env", &p.Process.Env},
		{"seccomp.allow", &p.Seccomp.Allow}, {"seccomp.deny", &p.Seccomp.Deny},
		{"expect.allow", &p.Expect.Allow}, {"expect.deny", &p.Expect.Deny},
	}
}

// put adds an entry that the list does not have, with or without a mark.
func put(list *[]string, entry string) bool {
	bare := strings.TrimPrefix(entry, "?")
	if slices.ContainsFunc(*list, func(s string) bool { return strings.TrimPrefix(s, "?") == bare }) {
		return false
	}
	*list = append(slices.Clone(*list), entry)
	return true
}

// unite is the union of the policies: of what they say once the first counts. Rules are
// united by their conditions where they are of this package, and kept else.
func unite(all []*Own, flags *policy.Policy) (*policy.Policy, map[string]string) {
	out, comments := &policy.Policy{Version: 1}, map[string]string{}
	for i, o := range all {
		for k, v := range o.comments {
			if _, ok := comments[k]; !ok {
				comments[k] = v
			}
		}
		if i == 0 {
			q := *o.Policy
			out = &q
			out.Seccomp.Rules = slices.Clone(q.Seccomp.Rules)
			continue
		}
		have, more := lists(out), lists(o.Policy)
		for i, l := range more {
			for _, e := range *l.list {
				put(have[i].list, e)
			}
		}
		out.Seccomp.Rules = uniteRules(out.Seccomp.Rules, o.Policy.Seccomp.Rules)
		out.Extends = slices.Clone(out.Extends)
		for _, e := range o.Policy.Extends {
			put(&out.Extends, e)
		}
		if o.Policy.Namespaces.Net == "host" {
			out.Namespaces.Net = "host"
		}
	}
	if flags != nil {
		have, more := lists(out), lists(flags)
		for i, l := range more {
			for _, e := range *l.list {
				if put(have[i].list, e) {
					comments[l.key+"\x00"+e] = "given to sbx learn"
				}
			}
		}
		if flags.Namespaces.Net != "" {
			out.Namespaces.Net = flags.Namespaces.Net
		}
		if out.Limits == (policy.Limits{}) {
			out.Limits = flags.Limits
		}
	}
	return out, comments
}

// canonical has the paths of a policy's lists as policies have them.
func (g *ground) canonical(p *policy.Policy) *policy.Policy {
	if p == nil {
		return nil
	}
	q := *p
	for _, l := range lists(&q) {
		if !strings.HasPrefix(l.key, "files.") {
			continue
		}
		list := slices.Clone(*l.list)
		for i, e := range list {
			name := policy.ParsePath(e)
			if s, ok := g.written(name.Name); ok && strings.HasPrefix(name.Name, "/") {
				list[i] = e[:len(e)-len(name.Name)] + s
			}
		}
		*l.list = list
	}
	return &q
}

func uniteRules(rules, more []seccomp.Rule) []seccomp.Rule {
	for _, r := range more {
		known := slices.ContainsFunc(rules, func(have seccomp.Rule) bool {
			return slices.Equal(have.Syscalls, r.Syscalls) && slices.Equal(have.When, r.When) &&
				have.Action == r.Action
		})
		if known {
			continue
		}
		merged := false
		for _, kind := range tightRules {
			values, ok := kind.is(r)
			if !ok {
				continue
			}
			merged = true
			at := slices.IndexFunc(rules, func(have seccomp.Rule) bool { _, ok := kind.is(have); return ok })
			if at < 0 {
				continue // the other has seen any arguments
			}
			have, _ := kind.is(rules[at])
			for _, v := range values {
				put(&have, v)
			}
			slices.Sort(have)
			rules[at].When = []string{kind.before + "{" + strings.Join(have, ", ") + "}"}
		}
		if mask, ok := cloneMask(r); ok {
			merged = true
			for i := range rules {
				if have, ok := cloneMask(rules[i]); ok {
					rules[i].When = []string{cloneWhen(have & mask)}
				}
			}
		}
		if !merged {
			rules = append(rules, r)
		}
	}
	return rules
}

// cloneMask are the flags of clone that a rule of this package denies.
func cloneMask(r seccomp.Rule) (mask uint64, ok bool) {
	if !slices.Equal(r.Syscalls, []string{"clone"}) || len(r.When) != 1 {
		return 0, false
	}
	_, err := fmt.Sscanf(r.When[0], "arg0 & 0x%x != 0", &mask)
	return mask, err == nil
}

func cloneWhen(mask uint64) string { return fmt.Sprintf("arg0 & %#x != 0", mask) }
