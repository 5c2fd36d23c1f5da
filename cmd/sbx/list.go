package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"sbx/internal/inspect"
	"sbx/internal/text"
)

// listCmd is "sbx list".
type listCmd struct {
	All  bool `short:"a" help:"Those of all users, as far as they can be seen."`
	JSON bool `help:"Print JSON."`
}

// Help says where they are found.
func (c *listCmd) Help() string {
	return `Running sandboxes are found by their init, a process named sbx-init. There is no
registry and no daemon. The age is that of the sandbox.`
}

// Run prints a line for each running sandbox.
func (c *listCmd) Run() error { return c.run(os.Stdout) }

func (c *listCmd) run(w io.Writer) error {
	uid := os.Getuid()
	if c.All {
		uid = -1
	}
	list, err := running(uid)
	if err != nil {
		return fmt.Errorf("list sandboxes: %w", err)
	}
	if c.JSON {
		return printJSON(w, struct {
			Sandboxes []inspect.Sandbox `json:"sandboxes"`
		}{list})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%8s  %-12s  %8s  %s\n", "PID", "POLICY", "AGE", "COMMAND")
	for _, s := range list {
		fmt.Fprintf(&b, "%8d  %-12s  %8s  %s\n", s.Target, text.OneLine(s.Policy), s.Age.Round(time.Second),
			text.OneLine(strings.Join(s.Command, " ")))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// running are the sandboxes of a user, with the policy that the launcher's flags name.
func running(uid int) ([]inspect.Sandbox, error) {
	list, err := inspect.Sandboxes(uid)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Policy = policyOf(list[i].Launch, runsSbx(list[i].Launcher))
	}
	return list, nil
}

// policyOf is the policy of a launcher with these arguments, or "-" where they are not
// those of sbx: of a program that uses the library. own says that it is this very sbx, so
// that another name is that of a link, and of a policy.
func policyOf(args []string, own bool) string {
	if name, ok := renamed(args); ok && own && name != bwrapWord {
		return name
	}
	if len(args) < 2 || !slices.Contains(args, "--") {
		return "-"
	}
	args = args[1:]
	if args[0] == explainWord {
		args = args[1:]
	}
	l, _, err := readLaunch(args)
	if err != nil {
		return "-"
	}
	return l.Policy
}

// findProcess is the process that a word means: a pid, "self", or the target of a running
// sandbox by its policy or command.
func findProcess(word string) (int, error) {
	if word == "self" {
		return os.Getpid(), nil
	}
	if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
		return pid, nil
	}
	uid := os.Getuid()
	if uid == 0 {
		uid = -1
	}
	list, err := running(uid)
	if err != nil {
		return 0, err
	}
	var found []string
	pid := 0
	for _, s := range list {
		if s.Target != 0 && (s.Policy == word || len(s.Command) > 0 && path.Base(s.Command[0]) == word) {
			pid = s.Target
			found = append(found, strconv.Itoa(pid))
		}
	}
	switch len(found) {
	case 0:
		return 0, &usageError{"inspect " + text.Quote(word) + ": no running sandbox has that policy or command",
			"sbx list shows them; a process is named by its pid"}
	case 1:
		return pid, nil
	}
	return 0, &usageError{"inspect " + text.Quote(word) + ": " + strconv.Itoa(len(found)) + " sandboxes have that name",
		"say one's pid: " + strings.Join(found, ", ")}
}
