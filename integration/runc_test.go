package integration

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"sbx/policies"
	"sbx/policy/oci"
	"sbx/policy/seccomp"
)

// TestImportRunc has runc load Docker's default profile as Docker would hand it
// over for a container without capabilities, and the kernel say what comes of
// it: what the policy says that sbx makes of the same profile. The upper half
// of ints is left out, as there runc's filter has a hole that ours has not.
func TestImportRunc(t *testing.T) {
	if !asRoot() {
		return // as for TestExportOCI
	}
	whole, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		t.Fatal(err)
	}
	profile, err := oci.Parse("default.json", whole)
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := policies.Kernel()
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := profile.Policy(oci.Target{Arch: seccomp.Native(), Kernel: kernel})
	if err != nil {
		t.Fatal(err)
	}
	answers, err := p.Answers(seccomp.Native())
	if err != nil {
		t.Fatal(err)
	}
	handed, err := moby.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(handed)
	if err != nil {
		t.Fatal(err)
	}
	bundle := t.TempDir()
	writeBundle(t, bundle, data)
	questions, want := interview(t, p, answers)
	got := askRunc(t, bundle, questions)
	for i, w := range want {
		a, s, args := asked(t, questions[i])
		switch {
		case got[i] == w, s == "", junk(t, s, args), !named(t, a, s):
		case a != seccomp.Native() && (strings.HasPrefix(w, "errno") && strings.HasPrefix(got[i], "errno") ||
			a == seccomp.I386 && (s == "socketcall" || s == "ipc" || s == "mmap" || s == "select")):
			// See docs/formats.md: unlisted calls of a second architecture, and
			// calls whose arguments are out of sight.
		default:
			t.Errorf("%s (%s of %s): runc's filter says %q, the policy %q", questions[i], s, a, got[i], w)
		}
	}
}

// askRunc puts questions to the probe in a bundle.
func askRunc(t *testing.T, bundle string, questions []string) []string {
	t.Helper()
	r := run(t, call{
		args:  []string{"runc", "--root", filepath.Join(bundle, "state"), "run", "-b", bundle, "sbx-it"},
		dir:   bundle,
		stdin: strings.Join(questions, "\n") + "\n",
		limit: 5 * 60e9,
	})
	got := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	if r.status != 0 || len(got) != len(questions) {
		t.Fatalf("%d answers to %d questions: %.2000v", len(got), len(questions), r)
	}
	return got
}

// asked reads a question again: s is "" if the number is no call's.
func asked(t *testing.T, question string) (a seccomp.Arch, s string, args [6]uint64) {
	t.Helper()
	var audit, nr uint32
	if _, err := fmt.Sscanf(question, "%x %x %x %x %x %x %x %x", &audit, &nr, &args[0], &args[1], &args[2], &args[3],
		&args[4], &args[5]); err != nil {
		t.Fatal(err)
	}
	a, ok := seccomp.LookupArch(audit, nr)
	if !ok {
		t.Fatalf("no architecture has %s", question)
	}
	if c, ok := seccomp.SyscallByNumber(a, nr); ok {
		s = c.Name()
	}
	return a, s, args
}

// junk reports whether more than the kernel reads is set in an argument.
func junk(t *testing.T, name string, args [6]uint64) bool {
	t.Helper()
	s, err := seccomp.LookupSyscall(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Args() {
		if args[i]>>(s.Width(i)-1)>>1 != 0 {
			return true
		}
	}
	return false
}
