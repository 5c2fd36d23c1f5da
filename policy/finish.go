package policy

import (
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// finish says what was left unsaid, orders the lists and checks what only the
// whole policy shows.
func finish(p *Policy) error {
	if err := applyProfile(p); err != nil {
		return err
	}
	for _, f := range fields() {
		switch {
		case f.str != nil && *f.str(p) == "":
			*f.str(p) = f.deflt
		case f.action != nil && f.action(p).Kind == seccomp.Unset:
			a, fault := parseAction(f.deflt)
			if fault != nil {
				return &Error{File: p.Name, Msg: fault.msg}
			}
			*f.action(p) = a
		case f.truth != nil && *f.truth(p) == nil:
			b := f.key == "files.proc" || f.key == "files.dev"
			*f.truth(p) = &b
		case f.list != nil && f.key != "process.env":
			slices.SortFunc(*f.list(p), func(a, b string) int { return strings.Compare(withoutMark(a), withoutMark(b)) })
		}
	}
	slices.Sort(p.Process.Env)
	for i := range p.Seccomp.Rules {
		r := &p.Seccomp.Rules[i]
		o, ok := p.RuleOrigin(*r)
		r.Syscalls, r.When = slices.Sorted(slices.Values(r.Syscalls)), slices.Sorted(slices.Values(r.When))
		if ok {
			p.noteRule(*r, o)
		}
	}
	// The rules stay in order: of two errnos the later rule's is answered.
	for _, s := range []*string{&p.Limits.Processes, &p.Limits.Memory, &p.Limits.Time} {
		if *s == none {
			*s = ""
		}
	}
	return settlePaths(p)
}

// settlePaths drops what is read where it is written too, and refuses what is
// to be both the host's and private.
func settlePaths(p *Policy) error {
	shown := map[string]string{}
	for _, e := range p.Files.Write {
		shown[withoutMark(e)] = "files.write"
	}
	read := p.Files.Read[:0:0]
	for _, e := range p.Files.Read {
		if shown[withoutMark(e)] == "" {
			shown[withoutMark(e)] = "files.read"
			read = append(read, e)
		}
	}
	p.Files.Read = read
	for _, e := range p.Files.Tmpfs {
		if by := shown[withoutMark(e)]; by != "" {
			return &Error{
				File: p.Name, Msg: "both " + by + " and files.tmpfs name " + withoutMark(e),
				Hint: `take one out, as tmpfs = ["!` + withoutMark(e) + `"]`,
			}
		}
	}
	return nil
}
