package main

import (
	"fmt"
	"path/filepath"
)

// mostReviewed is what a build may take whose changes are kept apart and then discarded, as a
// ratio to a plain run.
const mostReviewed = 1.25

// reviewed are runs of a C compiler that makes all anew each time.
func (b *runner) reviewed(c benchCase) ([]contender, error) {
	dir, err := b.sources("reviewed")
	if err != nil {
		return nil, err
	}
	// With a state directory on the same file system, as in a home.
	state := filepath.Join(b.dir, "home", ".local", "state")
	build := []string{"/bin/sh", "-c", "rm -rf out; mkdir out; for f in *.c; do gcc -O1 -c -o out/$f.o $f || exit 1; done"}
	var list []contender
	for _, flag := range []string{"", "--review=discard", "--review=keep"} {
		args := append([]string{"env", "XDG_STATE_HOME=" + state, b.sbx}, c.flags...)
		name := "plain"
		if flag != "" {
			name, args = flag, append(args, flag)
		}
		list = append(list, contender{name: name, args: append(append(args, "--"), build...), dir: dir})
	}
	return list, nil
}

// checkReviewed says whether it took too long. Keeping waits for the disk.
func (o outcome) checkReviewed() error {
	if ratio := ms(o.rows[1].min) / ms(o.rows[0].min); ratio > mostReviewed {
		return fmt.Errorf("%s: %s takes %.2f times as long, and %.2f is allowed", o.title, o.rows[1].name, ratio,
			mostReviewed)
	}
	return nil
}
