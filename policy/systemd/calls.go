package systemd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// callFilter is what SystemCallFilter= and its companions have said so far.
type callFilter struct {
	// calls is nil until the first SystemCallFilter=, which says whether the
	// list allows or refuses. The action of a refused call is Unset if it is
	// what SystemCallErrorNumber= says.
	calls     map[string]seccomp.Action
	allowList bool
	// words are the entries as they were written, as long as none takes back
	// another (mixed): they read better than calls.
	words   map[string]seccomp.Action
	mixed   bool
	refused seccomp.Action
}

// callFilter takes one SystemCallFilter=. The first one says whether calls are
// allowed or refused, later ones of the other kind take back.
func (m *importer) callFilter(s setting) error {
	f := &m.filter
	if s.value == "" {
		f.calls, f.words, f.mixed = nil, nil, false
		return nil
	}
	list, invert := strings.CutPrefix(s.value, "~")
	entries, err := words(list)
	if err != nil {
		return err
	}
	if f.calls == nil {
		f.calls, f.words = map[string]seccomp.Action{}, map[string]seccomp.Action{}
		if f.allowList = !invert; f.allowList {
			entries = append([]string{"@default"}, entries...)
		}
	}
	for _, e := range entries {
		if err := m.callEntry(e, invert); err != nil {
			return err
		}
	}
	return nil
}

// callEntry takes one entry: a call or group, and behind a colon the errno it
// is refused by. In a list of what is allowed an entry with an errno stays in
// the list: by that errno the call is refused.
func (m *importer) callEntry(e string, invert bool) error {
	f := &m.filter
	name, suffix, has := strings.Cut(e, ":")
	if has && !invert {
		return fmt.Errorf("%q: an errno is for calls that are refused, and this is a list of what is allowed", e)
	}
	var a seccomp.Action
	if f.allowList {
		a.Kind = seccomp.Allow
	}
	if has {
		var err error
		if a, err = m.answer(suffix); err != nil {
			return err
		}
	}
	calls, err := seccomp.Expand(name)
	if err != nil {
		// What is not known cannot be allowed, and needs no taking back from
		// a list of what is allowed. To refuse it is another matter: the
		// kernel may know it.
		if m.o.Lossy && (!invert || f.allowList && !strings.HasPrefix(name, "@")) {
			m.lose("%v: skipped", err)
			return nil
		}
		return err
	}
	if invert && name == "@mount" {
		// systemd 258, whose groups ours are, has moved it to @file-system.
		calls = append(calls, "open_tree")
		f.mixed = true
	}
	add := invert != f.allowList || has
	for _, c := range calls {
		old, there := f.calls[c]
		f.mixed = f.mixed || there && (!add || old != a)
		if add {
			f.calls[c] = a
		} else {
			delete(f.calls, c)
		}
	}
	if add {
		f.words[name] = a
	}
	return nil
}

// answer reads what a refused call is answered: an errno by name or number, or
// "kill".
func (m *importer) answer(s string) (seccomp.Action, error) {
	switch s {
	case "kill":
		return seccomp.Action{Kind: seccomp.KillProcess}, nil
	case "0":
		m.lose("errno 0 would tell the program that the call was made: EPERM in its place")
		s = "EPERM"
	}
	n, err := seccomp.LookupErrno(s)
	return seccomp.Action{Kind: seccomp.Errno, Errno: uint16(n)}, err
}

// errorNumber takes SystemCallErrorNumber=.
func (m *importer) errorNumber(s setting) (err error) {
	m.filter.refused = seccomp.Action{}
	if s.value != "" {
		if s.value == "0" {
			return fmt.Errorf("errno 0 is not a number from 1 to %d", seccomp.MaxErrno)
		}
		m.filter.refused, err = m.answer(s.value)
	}
	return err
}

// calls writes the call filter.
func (m *importer) calls() error {
	s, f := &m.p.Seccomp, &m.filter
	enosys := seccomp.Action{Kind: seccomp.Errno, Errno: 38}
	refused := f.refused
	if refused.Kind == seccomp.Unset {
		refused.Kind = seccomp.KillProcess
	}
	byAction := map[seccomp.Action][]string{}
	entries := f.words
	if f.mixed {
		entries = f.calls
	}
	for name, a := range entries {
		if a.Kind == seccomp.Unset {
			a = refused
		}
		byAction[a] = append(byAction[a], name)
	}
	allow := seccomp.Action{Kind: seccomp.Allow}
	s.Default, s.Unknown = allow, allow
	if f.calls != nil && f.allowList {
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
		return cmp.Or(strings.Compare(a.Action.String(), b.Action.String()), strings.Compare(a.Syscalls[0], b.Syscalls[0]))
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

// architectures takes SystemCallArchitectures=.
func (m *importer) architectures(value string) error {
	list, err := words(value)
	if err != nil {
		return err
	}
	if value == "" {
		m.p.Seccomp.Architectures = nil
	}
	others := strings.Fields(`ppc ppc64 ppc64-le ppc-le ia64 parisc parisc64 s390 s390x sparc sparc64 mips mips-le
		mips64 mips64-le
		mips64-n32 mips64-le-n32 alpha arm-be arm64-be sh sh64 m68k tilegx cris arc arc-be loongarch64 riscv32 riscv64 nios2`)
	for _, name := range list {
		if name == "native" || slices.Contains(others, name) {
			continue // nothing of these runs on a machine that sbx runs on
		}
		a, err := seccomp.ParseArch(name)
		if err != nil {
			return err
		}
		if a == m.o.Native || !a.Compiles() || slices.Contains(m.p.Seccomp.Architectures, a.String()) {
			continue
		}
		m.p.Seccomp.Architectures = append(m.p.Seccomp.Architectures, a.String())
	}
	return nil
}
