package seccomp

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestGroups(t *testing.T) {
	for _, g := range Groups() {
		for _, s := range g.Syscalls() {
			if _, err := LookupSyscall(s); err != nil {
				t.Errorf("%s: %v", g.Name(), err)
			}
		}
		if g.Help() == "" {
			t.Errorf("%s has no help", g.Name())
		}
	}
}

// since252 lists what later releases of systemd put into groups (+) and took
// out (-), since v252 in Debian 12.
var since252 = map[string]string{
	// v253 brought the group; v258 made it part of @default, so that a
	// service may confine itself further.
	"@sandbox": "+landlock_add_rule +landlock_create_ruleset +landlock_restrict_self +seccomp",
	// New calls: mseal is made by the dynamic loader, the others ask only.
	"@default": "+landlock_add_rule +landlock_create_ruleset +landlock_restrict_self +seccomp +lsm_get_self_attr " +
		"+lsm_list_modules +mseal",
	// New calls; open_tree without OPEN_TREE_CLONE is openat with O_PATH.
	"@file-system": "+file_getattr +file_setattr +getxattrat +listmount +listxattrat +open_tree +removexattrat " +
		"+setxattrat +statmount",
	"@mount": "-open_tree +open_tree_attr",
}

// TestSystemd compares with the systemd of this machine.
func TestSystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("SBX_MUST_WORK") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out, err := exec.Command("systemd-analyze", "--version").Output()
	if err != nil || !strings.HasPrefix(string(out), "systemd 252 ") {
		t.Skipf("the differences are listed for v252, not for %.12s (%v)", out, err)
	}
	out, err = exec.Command("systemd-analyze", "syscall-filter").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := parseGroups(string(out))
	for name := range theirs {
		if name == "@known" {
			continue // ours is the table
		}
		g, err := LookupGroup(name)
		if err != nil {
			t.Error(err)
			continue
		}
		want := map[string]bool{}
		for _, s := range flatten(theirs, name) {
			if _, err := LookupSyscall(s); err == nil {
				want[s] = true
			}
		}
		change(t, want, since252[name], name)
		if name == "@system-service" {
			for _, part := range []string{"@default", "@file-system"} {
				change(t, want, since252[part], name)
			}
		}
		for _, s := range g.Syscalls() {
			if !want[s] {
				t.Errorf("%s: %s is not systemd's", name, s)
			}
			delete(want, s)
		}
		for s := range want {
			t.Errorf("%s: lacks %s", name, s)
		}
	}
	if len(theirs) < 25 {
		t.Errorf("only %d groups", len(theirs))
	}
}

func change(t *testing.T, set map[string]bool, changes, group string) {
	for _, c := range strings.Fields(changes) {
		name := c[1:]
		if c[0] == '-' {
			delete(set, name)
			continue
		}
		if set[name] && !strings.HasPrefix(group, "@system") {
			t.Errorf("%s: %s is listed as a difference and is none", group, name)
		}
		set[name] = true
	}
}

func parseGroups(text string) map[string][]string {
	groups, name := map[string][]string{}, ""
	for _, l := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(l, "@"):
			name = strings.TrimSpace(l)
			groups[name] = nil
		case strings.HasPrefix(l, "#"):
			name = "" // comments at the end list calls without a group
		case name != "" && strings.HasPrefix(l, "    ") && l[4] != '#':
			groups[name] = append(groups[name], strings.TrimSpace(l))
		}
	}
	return groups
}

func flatten(groups map[string][]string, name string) []string {
	var out []string
	for _, m := range groups[name] {
		if strings.HasPrefix(m, "@") {
			out = append(out, flatten(groups, m)...)
		} else {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
