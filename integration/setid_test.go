package integration

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetID: nothing set-id and no device file is left in what can be written,
// by any call that could, as root and as a user, in every role that writes.
func TestSetID(t *testing.T) {
	// The bait is good: without sbx the calls that are denied below work.
	r := run(t, call{args: []string{binary("probe"), "setid", t.TempDir()}, dir: t.TempDir()})
	r.want(t, 0, "left chmod: true", "left chmod gid: true", "left openat: true", "left tmpfile: true",
		"left openat2: true",
		"left mknodat: true", "left whiteout: true", "left rename whiteout: true", "left chmod directory: true")
	ways := 0
	for _, policy := range []string{"project", "build", "fetch", "open"} {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		r := run(t, call{dir: dir, args: []string{binary("sbx"), "--policy", policy, "--read", binary("probe"), "--",
			binary("probe"), "setid", dir}})
		r.want(t, 0, "setid mkdir: ok", "left mkdir: false", "setid openat2: ENOSYS")
		for what, said := range r.answers() {
			way, ok := strings.CutPrefix(what, "setid ")
			if !ok || way == "mkdir" || way == "openat2" {
				continue
			}
			ways++
			if said != "EPERM" {
				t.Errorf("%s: %s: %s, want EPERM from the filter", policy, way, said)
			}
		}
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeDevice) != 0 {
				t.Errorf("%s: left on the host: %v %s", policy, info.Mode(), p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if ways < 4*13 {
		t.Errorf("only %d ways were tried", ways)
	}
}

// TestReach: neither the process group that is shared at a terminal nor the
// init can be slowed down or limited; what a program does to itself and its
// children goes on.
func TestReach(t *testing.T) {
	for _, policy := range []string{"default", "open"} {
		sbxProbe(t, []string{"--policy", policy}, "reach").want(t, 0,
			"setpriority own group: EPERM", "setpriority own group high: EPERM", "setpriority self: ok",
			"ioprio_set own group: EPERM", "ioprio_set self: ok",
			"prlimit init: EPERM", "prlimit own pid: ok", "prlimit child: ok")
	}
}
