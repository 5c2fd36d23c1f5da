package integration

import (
	"maps"
	"strings"
	"testing"
)

// TestMountsInside: mounts of a program with nest fail as docs/explain.md says, what helps helps, and the
// report of a run that failed leads there.
func TestMountsInside(t *testing.T) {
	if asRoot() || guestFacts != "" {
		return // root has no nest, and other kernels may lack some of the types
	}
	const policy = "[process]\nnest = true"
	try := func(want map[string]string, inside ...string) {
		t.Helper()
		r := boxed(t, policy, append(inside, binary("probe"), "mounting")...)
		if got := r.answers(); !maps.Equal(got, want) {
			t.Errorf("%v: %v, not %v\n%v", inside, got, want, r)
		}
	}
	want := map[string]string{
		"tmpfs": "ok", "unknown type": "ENODEV", "type for root alone": "EPERM", "proc": "EPERM", "sysfs": "EPERM",
		"cgroup2": "EPERM", "mqueue": "EPERM", "bind one of the sandbox's": "ok", "bind with mounts below": "EINVAL",
		"bind all": "ok", "writable again": "EPERM", "read-only again": "ok", "move": "EINVAL", "umount": "EINVAL",
	}
	try(want, "unshare", "-Urm")
	want["proc"], want["cgroup2"], want["mqueue"] = "ok", "ok", "ok"
	try(want, "unshare", "-Urm", "--net", "--ipc", "--cgroup", "--pid", "--fork")
	for what := range want {
		want[what] = "EPERM"
	}
	try(want)

	file := ownPolicyFile(t, "extends = [\"default\"]\n"+policy)
	r := sbx(t, "explain", "--policy", file, "--", "umount", "/usr")
	if r.status == 0 || !strings.Contains(r.stderr, "docs/explain.md lists by error under Mounts inside") {
		t.Errorf("%v", r)
	}
}
