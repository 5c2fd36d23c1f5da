package main

import (
	"os"
	"os/exec"
	"path/filepath"
)

// inPlacePolicy is pure, as far as a process can enter namespaces itself.
const inPlacePolicy = `version = 1
extends = ["pure"]
[namespaces]
pid = "host"
`

// inPlace are the ways to become the target: root alone can make namespaces without
// one of users.
func (b *runner) inPlace(benchCase) ([]contender, error) {
	policy := filepath.Join(b.dir, "inplace.toml")
	if err := os.WriteFile(policy, []byte(inPlacePolicy), 0o644); err != nil {
		return nil, err
	}
	line := func(flags ...string) []string {
		return append(append([]string{b.sbx, "--policy", policy, "--read", b.target}, flags...), "--", b.target)
	}
	_, bwrap, filters, err := b.beside(line("--exec", "--dry-run", "--json"))
	if err != nil {
		return nil, err
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return nil, err
	}
	return []contender{
		{name: "bare", args: []string{b.target}, note: "the target alone"},
		{name: "sbx --exec", args: line("--exec"), note: "also Landlock, read-back"},
		{name: "sbx", args: line(), note: "the same, and an init of its own"},
		{name: "bwrap", args: bwrap, files: filters, note: "the same namespaces, mounts and filter; it stays as well"},
		{name: "unshare, setpriv", args: []string{unshare, "-m", "-n", "-i", "-u", "-C", "setpriv", "--no-new-privs",
			"--bounding-set=-all", "--inh-caps=-all", b.target}, note: "the same namespaces; no mounts, no filter"},
	}, nil
}
