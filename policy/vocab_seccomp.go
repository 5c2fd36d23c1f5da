package policy

import (
	"errors"
	"strings"

	"sbx/policy/seccomp"
)

// checkSyscall takes a system call or a @group.
func checkSyscall(s string) (string, *fault) {
	if strings.HasPrefix(s, "@") {
		if _, err := seccomp.LookupGroup(s); err != nil {
			return "", nameFault(err)
		}
		return s, nil
	}
	if _, err := seccomp.LookupSyscall(s); err != nil {
		if _, miss := seccomp.LookupGroup("@" + s); miss == nil {
			return "", faultf("unknown system call %q", s).or("did you mean %q?", "@"+s)
		}
		return "", nameFault(err)
	}
	return s, nil
}

// checkCall takes a system call and its first arguments, which are values as in
// conditions: "unshare CLONE_NEWUSER".
func checkCall(s string) (string, *fault) {
	words := strings.Fields(s)
	if _, f := checkSyscall(words[0]); f != nil {
		return "", f
	}
	call, err := seccomp.LookupSyscall(words[0])
	if err != nil {
		return "", nameFault(err)
	}
	if n := len(words) - 1; n > call.Args() {
		return "", faultf("%q: %d arguments, and %s takes %d", s, n, words[0], call.Args())
	}
	for _, w := range words[1:] {
		if err := checkValue(w); err != nil {
			return "", nameFault(err)
		}
	}
	return strings.Join(words, " "), nil
}

// checkValue takes a value that some architecture has.
func checkValue(s string) (err error) {
	for _, a := range seccomp.Arches() {
		if !a.Compiles() {
			continue
		}
		if _, err = seccomp.ParseValue(s, a); err == nil {
			return nil
		}
	}
	return err
}

// checkCondition takes what stands in a rule's when; blanks make no
// difference.
func checkCondition(s string) (string, *fault) {
	s = strings.Join(strings.Fields(s), " ")
	if _, err := seccomp.ParseCondition(s); err != nil {
		return "", nameFault(err)
	}
	return s, nil
}

// checkArchitecture takes an ABI under any of its names and gives Go's.
func checkArchitecture(s string) (string, *fault) {
	a, err := seccomp.ParseArch(s)
	if err != nil {
		return "", nameFault(err)
	}
	if !a.Compiles() {
		return "", faultf("no filters can be made for architecture %q", s).or("one of %s",
			strings.Join(architectureNames(), ", "))
	}
	return a.String(), nil
}

// architectureNames are those that filters can be made for.
func architectureNames() []string {
	var names []string
	for _, a := range seccomp.Arches() {
		if a.Compiles() {
			names = append(names, a.String())
		}
	}
	return names
}

// actionNames are the answers a policy can give, as it writes them.
func actionNames() []string {
	return []string{"allow", "errno:NAME", "kill-process", "kill-thread", "trap", "log", "notify"}
}

func parseAction(s string) (seccomp.Action, *fault) {
	a, err := seccomp.ParseAction(s)
	if err != nil {
		return seccomp.Action{}, nameFault(err)
	}
	return a, nil
}

// nameFault makes a fault of an error of package seccomp.
func nameFault(err error) *fault {
	var name *seccomp.NameError
	if !errors.As(err, &name) {
		return &fault{msg: err.Error()}
	}
	f := faultf("%s", err)
	if name.Near != "" {
		// The suggestion is the hint's, not the message's.
		f.msg = strings.Replace(f.msg, name.Error(), (&seccomp.NameError{Kind: name.Kind, Name: name.Name}).Error(), 1)
		f.or("did you mean %q?", name.Near)
	}
	return f
}
