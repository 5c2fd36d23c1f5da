package integration

import (
	"os"
	"strings"
	"testing"
)

// TestPrivilegesCannotGrow: programs that are set-user-ID or have file
// capabilities gain nothing inside, under any role. Outside, the bait works:
// otherwise this would test nothing.
func TestPrivilegesCannotGrow(t *testing.T) {
	if _, err := os.Stat(binary("probe-suid")); err != nil {
		if asRoot() || os.Getenv("SBX_MUST_WORK") != "" {
			t.Fatal(err)
		}
		t.Log("only root can lay out set-user-ID bait; system programs must do")
		sbx(t, "--", "su", "--version").want(t, 0)
		return
	}
	for _, bait := range []string{"probe-suid", "probe-caps"} {
		outside := run(t, call{args: []string{binary(bait), "caps"}, dir: t.TempDir()})
		if !strings.Contains(outside.stdout, "dac_override") {
			t.Fatalf("%s is no bait: %v", bait, outside)
		}
		for _, policy := range []string{"default", "project", "build", "fetch", "shell", "open", "web"} {
			flags := []string{"--policy", policy, "--read", binary(bait)}
			if policy == "open" {
				flags = flags[:2]
			}
			r := sbx(t, append(flags, "--", binary(bait), "caps")...)
			if r.status != 0 && r.status != 126 {
				t.Errorf("%s under %s: %v", bait, policy, r)
				continue
			}
			if r.status == 126 {
				continue // not executed at all is as well
			}
			want := map[string]string{"CapEff": "none", "CapPrm": "none", "NoNewPrivs": "1"}
			if policy == "web" && asRoot() {
				want = map[string]string{"NoNewPrivs": "1"} // keeps its own few; see TestNginxStock
			}
			uid := "0 0 0 0"
			if !asRoot() {
				uid = "61042 61042 61042 61042"
			}
			want["Uid"] = uid
			answers := r.answers()
			for what, value := range want {
				if answers[what] != value {
					t.Errorf("%s under %s: %s %q, want %q", bait, policy, what, answers[what], value)
				}
			}
		}
	}
}
