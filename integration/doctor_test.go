package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestDoctorUnderDocker: under the filter that Docker loads for a container without
// capabilities, sbx doctor finds what that denies, and so does a start that fails.
func TestDoctorUnderDocker(t *testing.T) {
	profile, err := moby.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(profile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"docker.json": string(data),
		"docker.toml": "version = 1\nsummary = 'Docker'\nextends = ['base']\n[seccomp]\noci = './docker.json'\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	inside := func(args ...string) result {
		return sbx(t, append([]string{"--policy", filepath.Join(dir, "docker.toml"), "--read", binary("sbx"), "--",
			binary("sbx")}, args...)...)
	}
	r := inside("doctor", "-p", "default")
	if r.status != 1 || !strings.Contains(r.stdout, "in: seccomp filter of an outer sandbox") ||
		!strings.Contains(r.stdout, "FAIL user namespace: operation not permitted") ||
		!strings.Contains(r.stdout, "ok   seccomp filter") || !strings.Contains(r.stdout, "ok   Landlock: files") ||
		!strings.Contains(r.stdout, "seccomp=unconfined") {
		t.Errorf("%v", r)
	}
	// Who forbids it is told by the surroundings, and so is the fix.
	pod := sbx(t, "--policy", filepath.Join(dir, "docker.toml"), "--env", "KUBERNETES_SERVICE_HOST=10.0.0.1", "--read",
		binary("sbx"), "--", binary("sbx"), "doctor", "-p", "default")
	if pod.status != 1 || !strings.Contains(pod.stdout, "in: kubernetes") ||
		!strings.Contains(pod.stdout, "\tin the pod's securityContext: seccompProfile: {type: Unconfined}") {
		t.Errorf("%v", pod)
	}
	if landlockABI(t) >= 6 { // what is left is enough for a launch without namespaces
		if r := inside("doctor", "--no-namespaces", "-p", "default"); r.status != 0 ||
			!strings.Contains(r.stdout, "ok   without namespaces") {
			t.Errorf("%v", r)
		}
	}
	r = inside("--", "true")
	if r.status != 125 || !strings.Contains(r.stderr, "sbx: note: sbx doctor: user namespace does not work") {
		t.Errorf("%v", r)
	}
}
