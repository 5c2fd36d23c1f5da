package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// What a build may take with denied calls explained, with files watched as well, learnt from
// for the first time, with all calls watched, and once more, as a ratio to a plain run.
const (
	mostExplained = 1.1
	mostWatched   = 1.6
	mostLearnt    = 2.2
	mostAgain     = 1.25
)

// files is how many the build has.
const files = 20

// sources makes a few files in C that include much, and returns their directory.
func (b *runner) sources(name string) (string, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for i := range files {
		text := "#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" +
			"#include <sys/socket.h>\n" +
			"#include <unistd.h>\n" + fmt.Sprintf("int f%d(int x) { char b[99]; return snprintf(b, 99, \"%%d\", x); }\n", i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d.c", i)), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	if b.cred != nil {
		if err := os.Chown(dir, int(b.cred.Uid), int(b.cred.Gid)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// explained are runs of a C compiler on such files.
func (b *runner) explained(c benchCase) ([]contender, error) {
	dir, err := b.sources("compiled")
	if err != nil {
		return nil, err
	}
	build := []string{"/bin/sh", "-c", "for f in *.c; do gcc -O1 -c $f || exit 1; done"}
	var list []contender
	for _, flag := range []string{"", "--explain", "--explain-files"} {
		args := append([]string{b.sbx}, c.flags...)
		name := "plain"
		if flag != "" {
			name, args = flag, append(args, flag)
		}
		list = append(list, contender{name: name, args: append(append(args, "--"), build...), dir: dir})
	}
	again := filepath.Join(dir, "learnt.toml")
	first := exec.Command(b.sbx, append([]string{"learn", "--tight", "--force", "-o", again, "--"}, build...)...)
	first.Dir, first.Env, first.SysProcAttr = dir, b.env, &syscall.SysProcAttr{Credential: b.cred}
	if out, err := first.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("learn from a build: %w: %s", err, out)
	}
	for name, more := range map[string][]string{"learn --tight": nil, "learn --tight, again": {"--merge", again}} {
		args := append([]string{b.sbx, "learn", "--tight"}, more...)
		list = append(list, contender{name: name, args: append(append(args, "--"), build...), dir: dir})
	}
	slices.SortStableFunc(list[3:], func(a, b contender) int { return len(a.name) - len(b.name) })
	return list, nil
}

// ratios is the table of such a case.
func (o outcome) ratios() string {
	s := "| | minimum ms | median ms | minimum / plain | median / plain |\n|---|---:|---:|---:|---:|\n"
	for _, r := range o.rows {
		s += fmt.Sprintf("| %s | %.0f | %.0f | %.2f | %.2f |\n", r.name, ms(r.min), ms(r.median),
			ms(r.min)/ms(o.rows[0].min), ms(r.median)/ms(o.rows[0].median))
	}
	return s
}

// checkExplained says whether it took too long.
func (o outcome) checkExplained() error {
	for i, most := range []float64{1, mostExplained, mostWatched, mostLearnt, mostAgain} {
		if ratio := ms(o.rows[i].min) / ms(o.rows[0].min); ratio > most {
			return fmt.Errorf("%s: %s takes %.2f times as long, and %.2f is allowed", o.title, o.rows[i].name, ratio, most)
		}
	}
	return nil
}
