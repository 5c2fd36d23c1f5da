package explain

import (
	"fmt"
	"slices"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/policy/seccomp"
)

// Judge says what of a policy denied a call.
type Judge struct {
	// Policy is the one that the run had.
	Policy *policy.Policy
	// Source is the same policy as it was parsed, which knows the lines; or nil.
	Source *policy.Policy
	// Native is the architecture of the machine.
	Native seccomp.Arch
	// Places are what each path inside is. Home and Dir are what ~ and . of the policy
	// stand for.
	Places    []Place
	Home, Dir string
	// Root says that the caller can leave the program capabilities.
	Root bool
	// FirstPort is the first port of the host's network that takes no capability.
	FirstPort uint16
	// Host says whether a path exists on the host, and what it is called there without
	// symbolic links.
	Host func(path string) (real string, exists bool)
	// NotMasked is a directory with too many files to mask all of the host's sockets in, for
	// which the program has none of its own; or "".
	NotMasked string
	// Socket and Device say whether a path of the host is a Unix socket, or a device. They may
	// be nil, as the functions that follow.
	Socket, Device func(path string) bool
	// May says whether the caller could use a path of the host so, by the permissions
	// as of access(2).
	May func(path string, bits uint32) bool
	// Mount is the mount that a path of the host lies in, and whether the path is its root.
	Mount func(path string) (id uint64, root bool)
	// Terminal says that the caller has a controlling terminal, Bare that the target has the
	// host's mounts, so that Landlock alone restricts files.
	Terminal, Bare bool

	calls *seccomp.Policy
	// answers are what was worked out already, by the lines that were added.
	answers map[string]*seccomp.Answers
}

// Finding is what there is to say of a denial.
type Finding struct {
	// Why is what of the policy decided, and Where the line that it stands in, as
	// "web.toml:12", or "".
	Why, Where string
	// Allow is what would allow the call, or "": lines of a policy, the table first.
	Allow string
	// Against is why it should not be allowed, or "".
	Against string
}

// Judge works it out.
func (j *Judge) Judge(d Denial) (Finding, error) {
	if j.calls == nil {
		j.calls, j.answers = j.Policy.LaunchCalls(), map[string]*seccomp.Answers{}
	}
	if d.Filter != "" {
		f := besides(d.Filter)
		if j.NotMasked != "" && strings.HasPrefix(d.Filter, noUnixSockets) {
			f.Why += ": there are too many files below " + text.Quote(j.NotMasked) + " to mask all of the host's sockets there"
			f.Allow = "--socket /tmp"
			f.Against = "those of the host's there that were not found can be called, too"
		}
		return f, nil
	}
	clause, err := j.decide(j.calls, "", d)
	if err != nil {
		return Finding{}, fmt.Errorf("find what denies %s: %w", d.Name(), err)
	}
	f := Finding{Why: j.why(d, clause.Why), Where: j.where(clause.Why), Against: j.against(d, clause.Why)}
	f.Allow, err = j.allow(d)
	return f, err
}

// decide is seccomp.Policy's Decide, for a policy with those lines added.
func (j *Judge) decide(p *seccomp.Policy, lines string, d Denial) (seccomp.Clause, error) {
	abis, err := p.ABIs(j.Native)
	if err != nil {
		return seccomp.Clause{}, err
	}
	if !slices.Contains(abis, d.Arch) { // it says so
		return p.Decide(j.Native, d.Arch.Audit(), d.Number, d.Args)
	}
	key := d.Arch.String() + " " + lines
	if j.answers[key] == nil {
		if j.answers[key], err = p.Answers(d.Arch); err != nil {
			return seccomp.Clause{}, err
		}
	}
	return j.answers[key].Decide(d.Number, d.Args), nil
}

// why is the reason in words.
func (j *Judge) why(d Denial, r seccomp.Reason) string {
	switch {
	case r.List != "":
		return fmt.Sprintf("%s = [%q] in [seccomp]", r.List, r.Entry) + behind(r.Note)
	case r.Rule > 0:
		return "the rule on " + strings.Join(j.calls.Rules[r.Rule-1].Syscalls, ", ") + behind(r.Note)
	case r.Note == "default":
		return "not listed in [seccomp]"
	}
	return r.Note
}

func behind(note string) string {
	if note == "" {
		return ""
	}
	return ", " + note
}

// where is the line of the policy that the reason stands in.
func (j *Judge) where(r seccomp.Reason) string {
	if j.Source == nil {
		return ""
	}
	o, ok := policy.Origin{}, false
	switch {
	case r.List != "":
		o, ok = j.Source.Origin("seccomp."+r.List, r.Entry)
	case r.Rule > 0:
		o, ok = j.Source.RuleOrigin(j.calls.Rules[r.Rule-1])
	}
	if !ok {
		return ""
	}
	return origin(o)
}

func (j *Judge) against(d Denial, r seccomp.Reason) string {
	switch {
	case strings.Contains(r.Note, "no namespaces inside"), strings.Contains(r.Note, "flags of clone3"):
		return againstGroup(nestGroup)
	case strings.Contains(r.Note, "no typing into terminals"):
		return againstGroup(typingGroup)
	}
	against := Against(d.Name())
	if r.Rule > 0 && against == "" {
		against = "without the rule the call is allowed with all arguments"
	}
	if debugs(d.Name()) {
		against += " (to debug what the current directory builds: --policy debug)"
	}
	return against
}

// debugs says whether a debugger makes the call, and a shipped role allows it to.
func debugs(name string) bool {
	return slices.Contains([]string{"ptrace", "process_vm_readv", "process_vm_writev", "kcmp"}, name)
}

// allow finds the lines that would allow the call, by adding one after the other and
// asking again. There may be none.
func (j *Judge) allow(d Denial) (string, error) {
	const most = 4
	p := *j.calls
	name := d.Name()
	var allow, deny, other []string
	for range most {
		clause, err := j.decide(&p, join(allow, deny, other), d)
		if err != nil {
			return "", fmt.Errorf("find what would allow %s: %w", name, err)
		}
		if clause.Action.Passes() {
			return join(allow, deny, other), nil
		}
		switch r := clause.Why; {
		case r.List == "deny" && !slices.Contains(deny, "!"+name):
			deny = append(deny, "!"+name) // also out of a @group
			p.Deny = withoutCall(p.Deny, name)
		case strings.Contains(r.Note, "no namespaces inside"):
			other = append(other, "nest = true in [process]")
			p.Allow = append(slices.Clone(p.Allow), nestGroup)
		case strings.Contains(r.Note, "no typing into terminals"):
			allow = append(allow, typingGroup)
			p.Allow = append(slices.Clone(p.Allow), typingGroup)
		case strings.Contains(r.Note, "the architecture is not listed"):
			other = append(other, fmt.Sprintf("architectures = [%q] in [seccomp]", d.Arch))
			p.Architectures = append(slices.Clone(p.Architectures), d.Arch.String())
		case r.Rule > 0 && j.inherited(p.Rules[r.Rule-1], name):
			other = append(other, fmt.Sprintf("syscalls = [\"!%s\"] in [[seccomp.rule]]", name))
			p.Rules = without(p.Rules, name)
		case r.Rule == 0 && r.List == "" && !slices.Contains(p.Allow, name):
			if _, err := seccomp.LookupSyscall(name); err != nil {
				return "", nil // a number that nobody knows
			}
			allow = append(allow, name)
			p.Allow = append(slices.Clone(p.Allow), name)
		default:
			return "", nil
		}
	}
	return "", nil
}

// inherited says that a policy that extends this one can take the rule out for the call:
// it names the call, and stands in the policy. Others come of other settings.
func (j *Judge) inherited(r seccomp.Rule, name string) bool {
	same := func(have seccomp.Rule) bool {
		return slices.Equal(have.Syscalls, r.Syscalls) && slices.Equal(have.When, r.When) && have.Action == r.Action
	}
	return slices.Contains(r.Syscalls, name) && slices.ContainsFunc(j.Policy.Seccomp.Rules, same)
}

// without are the rules without the call.
func without(rules []seccomp.Rule, name string) (left []seccomp.Rule) {
	for _, r := range rules {
		r.Syscalls = slices.DeleteFunc(slices.Clone(r.Syscalls), func(s string) bool { return s == name })
		if len(r.Syscalls) > 0 {
			left = append(left, r)
		}
	}
	return left
}

// withoutCall are the entries of a list without the call, for which a group that has it is
// replaced by its other calls.
func withoutCall(list []string, name string) (left []string) {
	for _, entry := range list {
		calls, err := seccomp.Expand(entry)
		if err != nil || !slices.Contains(calls, name) {
			left = append(left, entry)
			continue
		}
		left = append(left, slices.DeleteFunc(calls, func(s string) bool { return s == name })...)
	}
	return left
}

// join writes the lines as one would in a policy.
func join(allow, deny, other []string) string {
	var lines []string
	for _, list := range [...]struct {
		key     string
		entries []string
	}{{"allow", allow}, {"deny", deny}} {
		if len(list.entries) > 0 {
			entries := strings.Join(list.entries, `", "`)
			lines = append(lines, fmt.Sprintf("%s = [\"%s\"] in [seccomp]", list.key, entries))
		}
	}
	return strings.Join(append(lines, other...), " and ")
}

// noUnixSockets begins the name of the filter against Unix sockets.
const noUnixSockets = "no Unix sockets"

// besideText is why the filters beside the policy's deny what they deny, by their
// beginning; see package fallbackfilter.
var besideText = [...]struct{ name, why string }{
	{noUnixSockets, "this kernel's Landlock (before Linux 7.1) cannot tell the host's Unix sockets from the " +
		"sandbox's, so only pairs of connected ones are there; services by a Unix socket, such as nscd, are " +
		"out of reach anyway"},
	{"no signals", "this kernel's Landlock (before Linux 6.12) does not keep signals in the sandbox"},
	{"no limits and priorities", "the pid namespace is not the sandbox's own, and other processes have a number there"},
	{"no set-id files", "a set-id file on the host would give its owner's rights away; directories get their " +
		"set-group-ID bit, and openat2, whose mode no filter sees, works for all but root, or where nothing " +
		"of the host can be written"},
}

// besides is the finding for such a filter.
func besides(name string) Finding {
	f := Finding{
		Why:     fmt.Sprintf("the filter %q, which sbx loads beside the policy's", name),
		Against: "a descriptor that is handed over would lead to the host otherwise",
	}
	for _, b := range besideText {
		if strings.HasPrefix(name, b.name) {
			f.Against = b.why
		}
	}
	return f
}
