package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/policy/bwrap"
	"sbx/sandbox"
)

// prepared makes the plan of a command. If it is for a launch, directories of sbx's own are made
// first that the program could make otherwise, and with them the policies of the next launch.
func prepared(c *sandbox.Cmd, launch bool) (*sandbox.Plan, error) {
	plan, err := c.Prepare()
	if err != nil || !launch || len(plan.Unmade()) == 0 {
		return plan, err
	}
	c.Release()
	for _, name := range plan.Unmade() {
		// Where the file system is read-only the program makes none either.
		if err := makeOwnDir(name); err != nil && !errors.Is(err, unix.EROFS) {
			return nil, err
		}
	}
	c.Attached.MakesOwn = false
	return c.Prepare()
}

// makeOwnDir makes a directory of sbx's own. It follows no link.
func makeOwnDir(name string) error {
	m := bwrap.Made{Path: name, Dir: "/", Rel: name[1:], What: bwrap.MakeDir, Mode: 0o700, HasMode: true}
	if policy.Within(name, "/etc") {
		m.Mode = 0o755 // the machine's, for all users
	}
	if err := makeOne(&m); err != nil {
		return fmt.Errorf("make a directory that sbx reads its own files from, so that the program cannot: %w", err)
	}
	return nil
}
