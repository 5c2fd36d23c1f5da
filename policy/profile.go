package policy

import (
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// Profile is a container runtime's seccomp profile that somebody has read: what
// it answers where these capabilities are kept, and notes on what in it has no
// effect.
type Profile func(capabilities []string) (answers *seccomp.Policy, notes []string, err error)

// SetProfile hands over the profile that the policy's seccomp.oci names.
// Resolve needs it, since reading files, and their format, is not this
// package's business.
func (p *Policy) SetProfile(profile Profile) { p.profile = profile }

// checkProfile takes the path of a profile, from the policy file's directory
// on if it is not absolute.
func checkProfile(s string) (string, *fault) {
	if strings.HasPrefix(s, "~") || strings.Contains(s, "$") {
		return "", faultf("%q is no plain path", s).or("a path is absolute, or from the policy file's directory on")
	}
	return s, nil
}

// besideProfile finds a key that says what the profile says, too.
func besideProfile(said map[string]int) (key string, line int) {
	for _, key := range []string{"seccomp.default", "seccomp.unknown", "seccomp.allow", "seccomp.architectures"} {
		if line := said[key]; line > 0 {
			return key, line
		}
	}
	return "", 0
}

// applyProfile puts what the profile says in the place of seccomp.oci. A rule
// for containers with a capability counts if the policy keeps it whoever the
// caller is: one marked "?" may turn out not to be there.
func applyProfile(p *Policy) error {
	if p.OCI == "" {
		return nil
	}
	if p.profile == nil {
		return &Error{File: p.Name, Msg: "the profile " + p.OCI + " was not read"}
	}
	var kept []string
	for _, c := range p.Process.Capabilities {
		if !strings.HasPrefix(c, "?") {
			kept = append(kept, c)
		}
	}
	said, idle, err := p.profile(kept)
	if err != nil {
		return err
	}
	own := p.Seccomp
	for _, l := range []struct{ to, from *[]string }{
		{&said.Allow, &own.Allow}, {&said.Deny, &own.Deny}, {&said.Architectures, &own.Architectures},
	} {
		for _, e := range *l.from {
			if !slices.Contains(*l.to, e) {
				*l.to = append(*l.to, e)
			}
		}
	}
	said.Rules = append(said.Rules, own.Rules...)
	for _, a := range []struct{ to, from *seccomp.Action }{{&said.Default, &own.Default}, {&said.Unknown, &own.Unknown}} {
		if a.from.Kind != seccomp.Unset {
			*a.to = *a.from
		}
	}
	for _, f := range []struct{ to, from **bool }{
		{&said.Log, &own.Log}, {&said.SpecAllow, &own.SpecAllow}, {&said.WaitKillable, &own.WaitKillable},
	} {
		if *f.from != nil {
			*f.to = *f.from
		}
	}
	p.Seccomp, p.OCI, p.profile, p.idle = *said, "", nil, idle
	return nil
}
