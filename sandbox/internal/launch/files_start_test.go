package launch

import (
	"os"
	"path/filepath"
	"testing"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
)

// TestFileFaults makes every single call of the steps that a plain policy does
// not have fail in turn, as TestFaults does of the others.
func TestFileFaults(t *testing.T) {
	home := t.TempDir()
	plan := planWith(t, "default", func(p *policy.Policy) {
		for _, d := range []string{"lower/sub", "src/sub", "kept", "upper", "work"} {
			if err := os.MkdirAll(filepath.Join(home, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		no := false
		f := &p.Files
		f.Write = append(f.Write, home)
		f.Read = append(f.Read, "/shown", "/etc")
		f.Tmpfs = []string{"/scratch"}
		f.Overlay = []string{home + "/lower", home + "/kept"}
		f.Directories = []string{"/own", "/shown/sub"}
		f.Inline = map[string]string{"/own/f": "x", "/scratch/a/b/f": "y", "/etc/issue": "z"}
		f.Symlinks = map[string]string{"/own/l": "f"}
		f.Hide = append(f.Hide, home+"/lower/sub", "/scratch/none")
		f.Paths = map[string]policy.PathOptions{
			"/shown": {From: home + "/src", Exec: &no}, home + "/kept": {Upper: home + "/upper", Work: home + "/work"},
		}
	}, "/bin/touch", "ran")
	seen := map[string]bool{}
	sweep(t, plan, func(s step.Step) bool {
		switch s := s.(type) {
		case ns.Overlay, ns.FileOver, ns.WriteFile, ns.Pin, ns.Symlink:
		case ns.Tmpfs:
		case ns.Mask:
			if policy.Within(s.Path, "/proc") {
				return false
			}
		case ns.Bind:
			if s.Dest != "/shown" {
				return false
			}
		default:
			return false
		}
		seen[s.String()] = true
		return true
	})
	if len(seen) < 15 && !testing.Short() { // which makes only some of the calls fail
		t.Errorf("only %d steps: %v", len(seen), seen)
	}
}
