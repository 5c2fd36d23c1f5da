package integration

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestCacheTogether launches 50 targets at once with a policy that has no
// filter made ahead and an empty cache; then once more with a cache that holds
// rubbish, and with none that could be written.
func TestCacheTogether(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(dir, "mine.toml")
	text := "version = 1\nextends = ['default']\n[seccomp]\ndeny = ['sysinfo']\n[expect]\ndeny = ['syscall sysinfo']\n"
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(dir, "cache")
	launch := func() {
		r := run(t, call{
			args: []string{binary("sbx"), "--policy", policy, "--", "/bin/true"},
			dir:  t.TempDir(),
			env:  append(userEnv(), "XDG_CACHE_HOME="+cache),
		})
		if r.status != 0 {
			t.Error(r)
		}
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(launch)
	}
	wg.Wait()
	st, err := os.Stat(cache + "/sbx/filters")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(cache + "/sbx/filters/*")
	if err != nil || len(kept) != 1 || st.Mode().Perm() != 0o700 {
		t.Fatalf("kept %v with mode %v (%v)", kept, st.Mode(), err)
	}
	if err := os.WriteFile(kept[0], []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	launch()
	if err := os.RemoveAll(cache); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cache, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	launch()
}
