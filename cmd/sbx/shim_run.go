package main

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
	"sbx/sandbox"
)

// shimsBelow ends the path of the directory that "sbx shim install" makes links in.
const shimsBelow = "/sbx/shims"

// renamed says whether the process was started by another name than sbx's own, and which:
// by a link, whose name says what is to run. An ordinary launch pays for a comparison.
func renamed(args []string) (name string, ok bool) {
	if len(args) == 0 || args[0] == "" || args[0][0] == '-' { // a login shell's begins with a dash
		return "", false
	}
	name = path.Base(args[0])
	return name, !strings.HasPrefix(name, "sbx")
}

// runRenamed is sbx by another name: bubblewrap's command line, the next program of that
// name in PATH under the policy of that name, or sbx in a file that somebody has renamed.
func runRenamed(name string, args []string) int {
	if name == bwrapWord {
		return runBwrap(args)
	}
	if exe, err := os.Readlink("/proc/self/exe"); err == nil && path.Base(exe) == name {
		if _, err := policies.Find(name); err != nil {
			os.Args[0] = "sbx"
			return run(args)
		}
	}
	if inSandbox() {
		return report(becomeNext(name, args))
	}
	program, err := nextProgram(name)
	if err != nil {
		return report(err)
	}
	// From here on it is an ordinary launch, also if sbx executes itself once more.
	os.Args = append([]string{"sbx", "--policy=" + name, "--", program}, args...)
	return run(os.Args[1:])
}

// notFoundError is a program that PATH does not have, which is told by its own status.
type notFoundError struct{ usageError }

// ExitStatus is that of a shell.
func (notFoundError) ExitStatus() int { return 127 }

// nextProgram is the program that a link of that name runs: the first in PATH that is not
// sbx itself, and that no program of an earlier run can have put there. PATH then has no
// directory any more in which that name is sbx.
func nextProgram(name string) (string, error) {
	p, err := policies.Find(name)
	if err != nil {
		return "", &linkError{fmt.Errorf("run %s, as a link of that name to sbx says: %w", text.Quote(name), err),
			roleHint(name)}
	}
	l := newLaunch()
	w, err := l.where()
	if err != nil {
		return "", err
	}
	project, _ := l.projectDir(&w)
	if p, err = p.Expand(w.vars(project)); err != nil {
		return "", err
	}
	search, there := os.LookupEnv("PATH")
	if !there {
		search = sandbox.SearchPath
	}
	list := sandbox.Chooser{UID: os.Geteuid(), GID: os.Getegid(), Home: w.home, Account: w.account,
		Project: project,
		Writes:  p.Files.Write}.Programs(name, search)
	found, passed := "", 0
	shims := defaultShims()
	for _, x := range list {
		switch {
		case x.Own:
			shims = append(shims, strings.TrimRight(x.Dir, "/"))
		case found == "" && x.Why != "":
			say("note", text.Quote(x.Path)+" is passed over: "+x.Why)
			passed++
		case found == "":
			found = x.Path
		}
	}
	if found == "" {
		return "", noOther(name, passed > 0)
	}
	if there {
		err = os.Setenv("PATH", without(search, shims))
	}
	return found, err
}

// noOther says that PATH has no program of that name that could be run.
func noOther(name string, passed bool) error {
	what := "that is not a link to sbx"
	if passed {
		what = "that only you or root can have put there"
	}
	return &notFoundError{usageError{fmt.Sprintf("run %s: PATH has no program of that name %s", text.Quote(name), what),
		"if one is there, name it by its path: sbx --policy " + name + " -- /PATH/OF/" + text.Quote(name) +
			", or install it outside of projects, such as below ~/.local"}}
}

// linkError is an error with a hint of its own, if there is one.
type linkError struct {
	error
	hint string
}

// Unwrap gives the error itself.
func (e *linkError) Unwrap() error { return e.error }

// Hint is how to fix it.
func (e *linkError) Hint() string {
	if e.hint != "" {
		return e.hint
	}
	return sandbox.Hint(e.error)
}

// without is a PATH without those directories.
func without(search string, dirs []string) string {
	parts := slices.DeleteFunc(strings.Split(search, ":"), func(dir string) bool {
		return dir != "" && slices.Contains(dirs, strings.TrimRight(dir, "/"))
	})
	return strings.Join(parts, ":")
}

// defaultShims is the directory of links that sbx shim makes, if there is one.
func defaultShims() []string {
	if dir, err := shimDir(""); err == nil {
		return []string{dir}
	}
	return nil
}

// withoutShims is the environment in which PATH does not lead to links to sbx, and the
// directories of these: inside, a program runs what it names.
func withoutShims(env []string) ([]string, []string) {
	for i, v := range env {
		search, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		if !strings.Contains(search, shimsBelow) {
			break
		}
		var shims []string
		for dir := range strings.SplitSeq(search, ":") {
			if path.IsAbs(dir) && strings.HasSuffix(path.Clean(dir), shimsBelow) {
				shims = append(shims, strings.TrimRight(dir, "/"))
			}
		}
		env = slices.Clone(env)
		env[i] = "PATH=" + without(search, shims)
		return env, shims
	}
	return env, nil
}

// inSandbox says whether this is in a sandbox of sbx's already that denies another one.
// What says so, the kernel says: not the environment, which may have come from anywhere.
func inSandbox() bool {
	status, err := sys.ReadFile("/proc/self/status")
	if err != nil || !strings.Contains(status, "\nSeccomp:\t2\n") || !strings.Contains(status, "\nNoNewPrivs:\t1\n") {
		return false
	}
	if comm, err := sys.ReadFile("/proc/1/comm"); err != nil || comm != "sbx-init\n" {
		return false
	}
	// The kernel refuses a process with several threads, as this one is, with EINVAL. Any
	// other error is a filter's.
	return unix.Unshare(unix.CLONE_NEWUSER) != unix.EINVAL
}

// becomeNext runs the next program of that name in PATH in the place of sbx, in the sandbox
// that this is in: what else runs in there could do so itself.
func becomeNext(name string, args []string) error {
	search := os.Getenv("PATH")
	found := ""
	var shims []string
	for dir := range strings.SplitSeq(search, ":") {
		program := path.Join(dir, name)
		if !path.IsAbs(dir) || unix.Access(program, unix.X_OK) != nil {
			continue
		}
		var st unix.Stat_t
		switch {
		case isOwn(program) || ownLink(program):
			shims = append(shims, strings.TrimRight(dir, "/"))
		case found == "" && unix.Stat(program, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG:
			found = program
		}
	}
	if found == "" {
		return noOther(name, false)
	}
	// Where that is a copy of sbx, it takes itself out of PATH in its turn: this ends.
	if err := os.Setenv("PATH", without(search, shims)); err != nil {
		return err
	}
	if err := underWay(); err != nil {
		return err
	}
	return sandbox.Become(found, append([]string{name}, args...))
}

// roleHint says how a name comes to have a policy, where the program's role is known.
func roleHint(name string) string {
	role := ""
	switch name {
	case "npx", "pnpm", "pnpx", "yarn", "yarnpkg", "node", "corepack":
		role = "npm"
	case "pip3", "uv", "uvx", "pipx", "poetry", "pdm", "python", "python3":
		role = "pip"
	case "rustc", "rustup":
		role = "cargo"
	case "gofmt":
		role = "go"
	case "make", "gcc", "cc", "g++", "clang", "cmake", "ninja", "meson", "mvn", "gradle":
		role = "build"
	case "claude", "codex", "gemini", "aider", "opencode", "goose":
		role = "agent"
	case "curl", "wget":
		role = "fetch"
	}
	if role == "" || !policy.ValidName(name) {
		return ""
	}
	return "this makes one: sbx policy new " + name + " --extends " + role
}
