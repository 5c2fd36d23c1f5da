package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
)

// policyNewCmd is "sbx policy new".
type policyNewCmd struct {
	Name    string `arg:"" complete:"path" help:"A name, for a policy of the caller's, or a path with a slash."`
	Extends string `default:"base" complete:"policy" placeholder:"POLICY" help:"What the new one adds to (default: base)."`
}

// Run writes the file and prints what to do with it.
func (c *policyNewCmd) Run() error { return c.run(os.Stdout) }

func (c *policyNewCmd) run(w io.Writer) error {
	file, use, err := c.place()
	if err != nil {
		return err
	}
	if _, err := policies.Load(c.Extends); err != nil && !strings.Contains(c.Extends, "/") {
		return err
	}
	base := strings.TrimSuffix(filepath.Base(file), ".toml")
	if !policy.ValidName(base) {
		base = "mine"
	}
	data := startingPolicy(base, text.Quote(use), c.Extends)
	if _, err := policy.Parse(file, data); err != nil {
		return fmt.Errorf("write policy %s: %w", text.Quote(file), err)
	}
	if err := createFile(file, data); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "wrote %s; next: sbx policy check %s, sbx --policy %[2]s -- PROGRAM\n",
		text.Quote(file), text.Quote(use))
	return err
}

// place is the file to write, and the name that it will be used by.
func (c *policyNewCmd) place() (file, use string, err error) {
	if strings.Contains(c.Name, "/") {
		return c.Name, c.Name, nil
	}
	if !policy.ValidName(c.Name) {
		return "", "", &usageError{"write policy " + text.Quote(c.Name) + ": it is no policy name",
			"names have a-z, 0-9, - and _; a file is given by a path with a slash, as ./" +
				text.Quote(strings.TrimSuffix(c.Name, ".toml")) + ".toml"}
	}
	dir, err := policies.UserDir()
	if err != nil {
		return "", "", &usageError{fmt.Sprintf("write policy %s: %v", c.Name, err),
			"give a path with a slash, as ./" + c.Name + ".toml"}
	}
	file = filepath.Join(dir, c.Name+".toml")
	// The caller's own policy would take the place of the other wherever it is named.
	if l, err := policies.Load(c.Name); err == nil && l.Path != file {
		return "", "", &usageError{
			fmt.Sprintf("write policy %s: there is one of that name already (%s)", c.Name, l.Source),
			"choose another name, and name this one in --extends"}
	}
	return file, c.Name, nil
}

// createFile writes a file that was not there before.
func createFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("write policy %s: %w", text.Quote(name), err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &usageError{"write policy " + text.Quote(name) + ": it is there already, and stays as it is",
			"choose another name, or remove it first"}
	}
	if err == nil {
		// Whatever the umask says: a policy that others can write is refused.
		if err = f.Chmod(0o644); err == nil {
			_, err = f.Write(data)
		}
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}
	if err != nil {
		return fmt.Errorf("write policy %s: %w", text.Quote(name), err)
	}
	return nil
}

// startingPolicy is the text of a policy to start from. Each line that begins with
// "# ", a key and "=" is a line that it could have.
func startingPolicy(name, use, extends string) []byte {
	mark := ""
	if extends != "base" { // which alone shows no project
		mark = "# "
	}
	return fmt.Appendf(nil, `# What %[1]s is for, and what it does not protect.
#
#   sbx policy check %[2]s          looks for mistakes
#   sbx --dry-run --policy %[2]s -- PROGRAM    prints what would be done
#   sbx policy help files.read     explains a key; sbx policy help lists them
version = 1
summary = "%[1]s"
extends = ["%[3]s"]  # lists add up; "!x" takes an inherited x out

[namespaces]
# net = "host"              # the host's network; without this line there is none

[network]
# bind = [8080]             # TCP ports; only with net = "host"
# connect = [443]

[files]
%[4]sread = ["."]                # the project: the directory that sbx is started in
# write = ["./data"]        # the deeper entry wins
# hide = ["*.secret"]       # base hides what is named like a secret: .env, *.pem, ...
# tmpfs = ["/var/cache"]    # private, empty, writable
# sockets = ["?/run/postgresql"]    # Unix sockets that may be connected to

[process]
# env = ["LOG_*", "MODE=test"]      # beside PATH, HOME, LANG, ... which base passes on
# capabilities = ["?net_bind_service"]

[limits]
# memory = "?1G"            # "?": without a cgroup for it, say so and go on
# processes = 256
# time = "30m"

[seccomp]
# allow = ["ptrace"]        # sbx seccomp resolve ptrace; sbx seccomp emulate %[2]s -s ptrace
# deny = ["@debug"]

[expect]                    # what this policy means, for its readers
# allow = ["read ./README.md", "env LANG"]
deny = ["write ./README.md"]
`, name, use, extends, mark)
}
