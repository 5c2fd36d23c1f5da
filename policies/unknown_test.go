package policies

import (
	"errors"
	"os"
	"strings"
	"testing"

	"sbx/policy"
)

// TestUnknownHint: who names a file as if it were a policy is told how to.
func TestUnknownHint(t *testing.T) {
	config := isolate(t)
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "redis.toml", "version = 1\nextends = ['redis']\n")
	write(t, "wbe.toml", "version = 1\nextends = ['redis']\n")
	write(t, config+"/mine.toml", "version = 1\nextends = ['redis']\n")
	if err := os.Mkdir("odd.toml", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"redis":        "there is ./redis.toml; a file is named by its path: --policy ./redis.toml",
		"wbe":          "there is ./wbe.toml; a file is named by its path: --policy ./wbe.toml",
		"./wbe.toml":   `there is ./redis.toml; a file is named by its path: extends = ["./redis.toml"]`,
		"webs":         `did you mean "web"?`,
		"mine":         "", // another directory
		"./redis.toml": "", // itself
		"odd":          "", // a directory
		"redis.toml":   "a policy file is given by a path with a slash, as ./redis.toml",
	} {
		_, err := Find(name)
		var e *policy.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		} else if e.Fix != want && (want != "" || strings.Contains(e.Fix, ".toml")) {
			t.Errorf("%s: %v, hint %q, want %q", name, err, e.Fix, want)
		}
	}
}
