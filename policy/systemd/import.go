package systemd

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// Import gives the policy that confines a program as the unit does, as far as
// a policy can say that. losses are the settings that it cannot say, one each;
// what is not understood is an *Error. Settings about when and what to run are
// no part of a policy and passed over.
//
// Where a unit says nothing a policy still refuses: privileges are never
// gained, namespaces (but the network's) are new, capabilities go unless the
// unit names those that stay, and so does the environment.
func Import(file string, data []byte, native seccomp.Arch) (p *policy.Policy, losses []string, err error) {
	settings, err := parseUnit(file, data)
	if err != nil {
		return nil, nil, err
	}
	m := &importer{native: native, bounding: map[string]bool{}, p: &policy.Policy{
		Name: file, Version: 1, Summary: summary(file),
		Namespaces: policy.Namespaces{Net: "host"},
	}}
	for _, s := range settings {
		if isLifecycle(s.key) {
			continue
		}
		known, err := m.take(s)
		if err != nil {
			return nil, nil, &Error{file, s.line, s.key + "=: " + err.Error()}
		}
		if !known {
			m.lose("%s:%d: %s=%s: a policy has no word for it", file, s.line, s.key, s.value)
		}
	}
	if err := m.finish(); err != nil {
		return nil, nil, &Error{file, m.line, err.Error()}
	}
	// A policy file must be able to say it.
	if _, err := policy.Parse(file, m.p.Print()); err != nil {
		return nil, nil, &Error{file, 1, "as a policy: " + err.Error()}
	}
	return m.p, m.losses, nil
}

// summary is the policy's, with nothing in it that a file's name may have and
// a policy must not.
func summary(file string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, path.Base(file))
	return "Imported from " + name[:min(len(name), 100)]
}

type importer struct {
	p      *policy.Policy
	native seccomp.Arch
	losses []string

	// The call filter: nil until SystemCallFilter= is met, and whether it
	// lists what is allowed. words are its entries as they were written, as
	// long as none takes back another (mixed): they read better than calls.
	calls            map[string]seccomp.Action
	words            map[string]seccomp.Action
	allowList, mixed bool
	// refused is what SystemCallErrorNumber= answers; line where the filter
	// is.
	refused seccomp.Action
	line    int

	bounded, user   bool
	bounding        map[string]bool
	ambient         []string
	system, home    string
	write, readOnly []string
	noexec          []string
}

func (m *importer) lose(format string, args ...any) {
	m.losses = append(m.losses, fmt.Sprintf(format, args...))
}

// finish puts together what settings say jointly.
func (m *importer) finish() error {
	m.capabilities()
	m.files()
	return m.filter()
}

func (m *importer) capabilities() {
	var kept []string
	switch {
	case m.user:
		for _, c := range m.ambient {
			if !m.bounded || m.bounding[c] {
				kept = append(kept, c)
			}
		}
		if yes := true; len(kept) > 0 {
			m.p.Process.Ambient = &yes
		}
	default:
		for c := range m.bounding {
			kept = append(kept, c)
		}
	}
	slices.Sort(kept)
	for _, c := range slices.Compact(kept) {
		m.p.Process.Capabilities = append(m.p.Process.Capabilities, "?"+c)
	}
}

// files lays out the host's tree as ProtectSystem= and ProtectHome= have it.
func (m *importer) files() {
	f := &m.p.Files
	switch m.system {
	case "strict":
		f.Read = append(f.Read, "/")
	case "full":
		f.Write, f.Read = append(f.Write, "/"), append(f.Read, "?/usr", "?/boot", "?/efi", "?/etc")
	case "yes":
		f.Write, f.Read = append(f.Write, "/"), append(f.Read, "?/usr", "?/boot", "?/efi")
	default:
		f.Write = append(f.Write, "/")
	}
	homes := []string{"?/home", "?/root", "?/run/user"}
	switch m.home {
	case "yes":
		f.Hide = append(f.Hide, homes...)
	case "read-only":
		f.Read = append(f.Read, homes...)
	case "tmpfs":
		for _, h := range homes {
			f.Tmpfs = append(f.Tmpfs, h[1:])
		}
	}
	f.Read, f.Write = append(f.Read, m.readOnly...), append(f.Write, m.write...)
	// Of two settings for one path the more special wins; a policy's does so,
	// too, but does not have one path twice.
	f.Write, f.Tmpfs, f.Hide = tidy(f.Write), tidy(f.Tmpfs), tidy(f.Hide)
	f.Read = slices.DeleteFunc(tidy(f.Read), func(e string) bool {
		return slices.ContainsFunc(slices.Concat(f.Write, f.Tmpfs), func(w string) bool { return bare(w) == bare(e) })
	})
	m.settle()
}

func bare(e string) string { return strings.TrimPrefix(e, "?") }

// tidy sorts a list of paths; one that must be there goes before the same that
// may be missing.
func tidy(list []string) []string {
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(strings.Compare(bare(a), bare(b)), len(a)-len(b))
	})
	return slices.CompactFunc(list, func(a, b string) bool { return bare(a) == bare(b) })
}

// filter writes the call filter.
func (m *importer) filter() error {
	s := &m.p.Seccomp
	enosys := seccomp.Action{Kind: seccomp.Errno, Errno: 38}
	refused := m.refused
	if refused.Kind == seccomp.Unset {
		refused.Kind = seccomp.KillProcess
	}
	byAction := map[seccomp.Action][]string{}
	entries := m.words
	if m.mixed {
		entries = m.calls
	}
	for name, a := range entries {
		if a.Kind == seccomp.Unset {
			a = refused
		}
		byAction[a] = append(byAction[a], name)
	}
	allow := seccomp.Action{Kind: seccomp.Allow}
	s.Default, s.Unknown = allow, allow
	if m.calls != nil && m.allowList {
		// Numbers that it has no name for systemd answers with ENOSYS.
		s.Default, s.Unknown = refused, enosys
		s.Allow = byAction[allow]
	}
	for a, names := range byAction {
		if a == allow {
			continue
		}
		slices.Sort(names)
		if a == s.Default {
			s.Deny = append(s.Deny, names...)
			continue
		}
		s.Rules = append(s.Rules, seccomp.Rule{Syscalls: names, Action: a})
	}
	slices.SortStableFunc(s.Rules, func(a, b seccomp.Rule) int {
		return strings.Compare(a.Action.String()+a.Syscalls[0], b.Action.String()+b.Syscalls[0])
	})
	s.Deny = slices.Compact(slices.Sorted(slices.Values(s.Deny)))
	s.Allow = slices.Compact(slices.Sorted(slices.Values(s.Allow)))
	for _, r := range s.Rules {
		if err := r.Check(); err != nil {
			return err
		}
	}
	return nil
}
