package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"time"
)

// mostMore is how many milliseconds the search for secrets may take in such a project that sbx
// remembers.
const mostMore = 60

// forgetSearches removes what sbx remembers of projects, as anybody may at any time.
func forgetSearches() error {
	account, err := user.Current()
	if err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(account.HomeDir, ".config/sbx/searches"))
}

// projects are launches in an empty directory, in those of 200,000 files of its own, and in
// one of which a fifth of them is its own, the others in a tree of packages.
func (b *runner) projects(c benchCase) ([]contender, error) {
	args := append(append([]string{b.sbx}, c.flags...), "--read", b.target, "--", b.target)
	list := []contender{
		{name: "an empty directory", args: args, dir: filepath.Join(b.dir, "empty")},
		{name: "200,000 files, 40 in each directory", args: args, dir: filepath.Join(b.dir, "sources")},
		{name: "200,000 files, 1,000 in each directory", args: args, dir: filepath.Join(b.dir, "data")},
		{name: "200,000 files, all in one directory", args: args, dir: filepath.Join(b.dir, "one")},
		{name: "40,000 files, and 160,000 in node_modules", args: args, dir: filepath.Join(b.dir, "project")},
	}
	for _, con := range list {
		if err := os.MkdirAll(con.dir, 0o755); err != nil {
			return nil, err
		}
	}
	// A run of the same directory comes right after its first one.
	for i := len(list) - 1; i > 0; i-- {
		first := list[i]
		first.name, first.first = first.name+", the first time", true
		list = slices.Insert(list, i, first)
	}
	for _, tree := range []struct {
		in          string
		dirs, files int
	}{{"project/src", 2000, 20}, {"project/node_modules", 8000, 20}, {"sources/src", 5000, 40}, {"data/src", 200, 1000},
		{"one/src", 1, 200_000}} {
		for i := range tree.dirs {
			dir := filepath.Join(b.dir, tree.in, fmt.Sprintf("part%d", i/50), fmt.Sprintf("module%d", i))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, err
			}
			for j := range tree.files {
				file := filepath.Join(dir, fmt.Sprintf("file%d.%s", j, [...]string{"ts", "js", "json", "css", "md"}[j%5]))
				if err := os.WriteFile(file, nil, 0o644); err != nil {
					return nil, err
				}
			}
		}
	}
	time.Sleep(3 * time.Second) // what has changed just now is not remembered
	return list, nil
}

// check says whether the search took too long.
func (o outcome) check() error {
	if o.explains {
		return o.checkExplained()
	}
	if o.reviews {
		return o.checkReviewed()
	}
	for _, r := range o.rows {
		if more := ms(r.min - o.rows[0].min); o.projects && !r.first && more > mostMore {
			return fmt.Errorf("%s: %s: %.1f ms more than in an empty one, and %d are allowed", o.title, r.name, more,
				mostMore)
		}
	}
	return nil
}
