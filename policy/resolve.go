package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// A Finder gives the policy that from extends under name, parsed but not
// resolved. Its Name must differ for different policies and tell from where
// it is, for that is what cycles are seen by.
type Finder func(name string, from *Policy) (*Policy, error)

// Resolve gives the sum of p and all that it extends: lists add up, what is
// said later overrides single values, "!x" takes out what was inherited. The
// result extends nothing, says everything that was left unsaid, has each list
// in order without duplicates, and depends on nothing but the policies.
//
// Where two policies name the same path or capability and only one marks it
// "?", it is required. Where one reads what another writes, it is written.
//
// An error is an *Error with its place; of several the result is an *Errors.
func Resolve(p *Policy, find Finder) (*Policy, error) {
	r := resolver{find: find}
	sum, err := r.sum(p)
	if err != nil {
		return nil, err
	}
	if err := normalize(sum); err != nil {
		return nil, err
	}
	return sum, nil
}

type resolver struct {
	find    Finder
	path    []string // the policies being resolved, outermost first
	visited int
	tooMany bool // policies: no further one is looked at
}

// sum is p on top of the sum of all it extends.
func (r *resolver) sum(p *Policy) (*Policy, error) {
	if r.visited++; r.visited > MaxPolicies {
		r.tooMany = true
		return nil, &Error{File: p.Name, Msg: fmt.Sprintf("more than %d policies are drawn in", MaxPolicies)}
	}
	for _, name := range r.path {
		if name == p.Name {
			return nil, &Error{File: p.Name, Msg: "extends itself: " + strings.Join(append(r.path, p.Name), " extends ")}
		}
	}
	if len(r.path) == MaxDepth {
		return nil, &Error{File: p.Name, Msg: fmt.Sprintf("extends goes deeper than %d", MaxDepth)}
	}
	r.path = append(r.path, p.Name)
	defer func() { r.path = r.path[:len(r.path)-1] }()

	var sum *Policy
	var errs errorList
	for _, name := range p.Extends {
		if r.tooMany || errs.full() {
			break
		}
		inherited, err := r.parent(name, p)
		switch {
		case err != nil:
			errs.add(err)
		case sum == nil:
			sum = inherited // which nobody else has
		default:
			errs.add(merge(sum, inherited))
		}
	}
	if err := errs.err(); err != nil {
		return nil, err // what p says of what it inherits cannot be judged
	}
	if sum == nil {
		sum = &Policy{}
	}
	if err := merge(sum, p); err != nil {
		return nil, err
	}
	sum.Name, sum.Version, sum.Summary, sum.Extends = p.Name, p.Version, p.Summary, nil
	return sum, nil
}

// parent is the sum of what p extends under that name.
func (r *resolver) parent(name string, p *Policy) (*Policy, error) {
	parent, err := r.find(name, p)
	if err != nil {
		if list, _ := All(err); len(list) > 0 && list[0].Line > 0 {
			return nil, err // inside the file that was found
		}
		return nil, p.at("extends", name, err)
	}
	return r.sum(parent)
}

// at places an error at an entry. What it wraps stays visible to errors.Is.
func (p *Policy) at(key, entry string, err error) error {
	o, ok := p.Origin(key, entry)
	if !ok {
		o.Policy = p.Name
	}
	e := &Error{File: o.Policy, Line: o.Line, Col: o.Col, Msg: fmt.Sprintf("%s %q: %v", key, entry, err), err: err}
	var cause *Error
	if errors.As(err, &cause) {
		e.Fix = cause.Fix
	}
	return e
}

// merge puts what p says on top of sum.
func merge(sum, p *Policy) error {
	entries := 0
	var errs errorList
	if p.OCI != "" {
		sum.Seccomp, sum.profile = seccomp.Policy{}, p.profile
	}
	for _, f := range fields() {
		switch {
		case f.list != nil && f.key != "extends":
			list, err := mergeList(&f, sum, p)
			errs.add(err)
			*f.list(sum) = list
			if most := f.most(); most == MaxEntries {
				entries += len(list)
			} else if len(list) > most {
				errs.add(&Error{File: p.Name, Msg: fmt.Sprintf("more than %d entries in %s together with what it extends",
					most, f.key)})
			}
		case f.isMap():
			errs.add(mergeMap(&f, sum, p))
			entries += f.len(sum)
		case f.str != nil:
			if s := *f.str(p); s != "" {
				*f.str(sum) = s
				sum.noteAs(&f, "", p)
			}
		case f.id32 != nil:
			if n := *f.id32(p); n != nil {
				*f.id32(sum) = n
				sum.noteAs(&f, "", p)
			}
		case f.num != nil:
			if n := *f.num(p); n != 0 {
				*f.num(sum) = n
			}
		case f.truth != nil:
			if b := *f.truth(p); b != nil {
				*f.truth(sum) = b
				sum.noteAs(&f, "", p)
			}
		case f.action != nil:
			if a := *f.action(p); a.Kind != seccomp.Unset {
				*f.action(sum) = a
			}
		}
	}
	errs.add(mergeRules(sum, p))
	for _, r := range sum.Seccomp.Rules {
		entries += len(r.Syscalls) + len(r.When)
	}
	if entries > MaxEntries {
		errs.add(&Error{File: p.Name, Msg: fmt.Sprintf("more than %d entries together with what it extends", MaxEntries)})
	}
	return errs.err()
}

// mergeList takes p's "!x" entries out of sum's list and adds the others.
func mergeList(f *field, sum, p *Policy) ([]string, error) {
	have, add := *f.list(sum), *f.list(p)
	if f.closed && have == nil && add == nil {
		return nil, nil
	}
	sum.noteAs(f, "", p)
	if len(add) == 0 && have != nil {
		return have, nil
	}
	var errs errorList
	if f.isCalls() {
		var err error
		have, err = takeCallsOut(f, have, sum, p)
		errs.add(err)
	}
	at := make(map[string]int, len(have)+len(add))
	list := make([]string, 0, len(have)+len(add))
	for _, e := range have {
		at[f.identity(e)] = len(list)
		list = append(list, e)
	}
	for _, e := range add {
		bare, out := strings.CutPrefix(e, "!")
		if !out || f.isCalls() {
			continue
		}
		i, ok := at[f.identity(bare)]
		if !ok || list[i] == "" || strings.Contains(bare, "=") && list[i] != bare {
			err := &fault{msg: fmt.Sprintf("%q takes out what %s does not inherit", e, f.key)}
			err.like(bare, have)
			o, _ := p.Origin(f.key, e)
			errs.add(&Error{File: p.Name, Line: o.Line, Col: o.Col, Msg: err.msg, Fix: err.hint})
			if errs.full() {
				break
			}
			continue
		}
		list[i] = ""
	}
	for _, e := range add {
		if strings.HasPrefix(e, "!") {
			continue
		}
		o, known := p.Origin(f.key, e)
		id := f.identity(e)
		if i, ok := at[id]; ok && list[i] != "" {
			if f.key == "process.env" { // said later: another value
				list[i] = e
			} else if !strings.HasPrefix(e, "?") && list[i] != e {
				list[i] = e // required by one is required
			} else {
				continue
			}
		} else {
			at[id] = len(list)
			list = append(list, e)
		}
		if known {
			sum.note(f, e, o)
		}
	}
	kept := list[:0]
	for _, e := range list {
		if e != "" {
			kept = append(kept, e)
		}
	}
	return kept, errs.err()
}

// mergeRules adds p's rules to sum's, and takes out of them the system calls
// that p's "!" rules name.
func mergeRules(sum, p *Policy) error {
	rules, taken := append([]seccomp.Rule(nil), sum.Seccomp.Rules...), false
	var errs errorList
	for _, r := range p.Seccomp.Rules {
		o, _ := p.RuleOrigin(r)
		for _, s := range r.Syscalls {
			name, out := strings.CutPrefix(s, "!")
			if !out {
				break // of such a rule, all or none begin with "!"
			}
			left, found := withoutSyscall(rules, name)
			if !found {
				errs.add(&Error{
					File: p.Name, Line: o.Line, Col: o.Col, Msg: fmt.Sprintf("%q takes out what no inherited rule names", s),
				})
				continue
			}
			rules, taken = left, true
		}
	}
	have := make(map[string]bool, len(rules)+len(p.Seccomp.Rules))
	for _, r := range rules {
		have[ruleText(r)] = true
		if !taken {
			continue
		}
		// A rule with fewer system calls is written where the whole one was.
		for _, old := range sum.Seccomp.Rules {
			if o, ok := sum.RuleOrigin(old); ok && sameBut(old, r) {
				sum.noteRule(r, o)
				break
			}
		}
	}
	for _, r := range p.Seccomp.Rules {
		text := ruleText(r)
		if strings.HasPrefix(r.Syscalls[0], "!") || have[text] {
			continue
		}
		have[text] = true
		rules = append(rules, r)
		if o, ok := p.RuleOrigin(r); ok {
			sum.noteRule(r, o)
		}
	}
	sum.Seccomp.Rules = rules
	return errs.err()
}

// sameBut says whether part is whole with none or some system calls fewer.
func sameBut(whole, part seccomp.Rule) bool {
	calls := callsOf(whole.Syscalls)
	for _, s := range part.Syscalls {
		if !slices.Contains(whole.Syscalls, s) && !calls[s] {
			return false
		}
	}
	part.Syscalls = whole.Syscalls
	return ruleText(whole) == ruleText(part)
}

func withoutSyscall(rules []seccomp.Rule, name string) (left []seccomp.Rule, found bool) {
	for _, r := range rules {
		calls, _, _, has := withoutCalls(r.Syscalls, name)
		found = found || has
		if r.Syscalls = calls; len(calls) > 0 {
			left = append(left, r)
		}
	}
	return left, found
}
