package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"sbx/internal/ptytest"
	"sbx/internal/startlimits"
)

// asSbx makes this test's program be sbx.
const asSbx = "SBX_TEST_AS_SBX"

func TestMain(m *testing.M) {
	if err := startlimits.Restore(); err != nil {
		panic(err)
	}
	if os.Getenv(asSbx) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// TestFirstWords holds that exactly kong's commands are told from launches.
func TestFirstWords(t *testing.T) {
	list, err := describeCommands()
	if err != nil {
		t.Fatal(err)
	}
	first := firstWords(list)
	for _, word := range first {
		if !isCommand(word) {
			t.Errorf("%s is taken for a launch", word)
		}
	}
	if len(first) < 4 || isCommand("") || isCommand("--") || isCommand("nginx") {
		t.Errorf("commands: %q", first)
	}
}

// completions are what every shell offers for a line: some words that must be
// among it, and some that must not.
var completions = []struct {
	line       string
	with, sans []string
}{
	{"sbx ", []string{"policy", "list", "inspect", "doctor", "learn", "--"}, []string{"--read", "file.txt", "show"}},
	{"sbx --", []string{"--policy", "--read", "--keep-fd", "--version"}, []string{"--plain", "policy"}},
	{"sbx ex", []string{"explain"}, []string{"learn"}},
	{"sbx explain --", []string{"--policy", "--explain-files", "--last", "--json"},
		[]string{"--plain", "policy", "--merge"}},
	{"sbx explain --policy we", []string{"web"}, []string{"default"}},
	{"sbx explain -p we", []string{"web"}, []string{"default"}},
	{"sbx learn --", []string{"--policy", "--write", "--merge", "--tight", "--against", "--output", "--force"},
		[]string{"--plain", "policy", "--explain", "--dry-run", "--last"}},
	{"sbx learn --against we", []string{"web"}, []string{"default"}},
	{"sbx learn --policy we", []string{"web"}, []string{"default"}},
	{"sbx learn --tight --merge fi", []string{"file.txt"}, []string{"web", "--read"}},
	{"sbx learn -o fi", []string{"file.txt"}, []string{"web"}},
	{"sbx learn --net ", []string{"host", "none"}, []string{"web", "file.txt"}},
	{"sbx learn -- sbx-test-p", []string{"sbx-test-program"}, []string{"sbx"}},
	{"sbx learn --merge file.txt -- sbx-test-program fi", []string{"file.txt"}, []string{"--policy", "host"}},
	{"sbx --", []string{"--policy", "--explain"}, []string{"--merge", "--last"}},
	{"sbx explain -- sbx-test-p", []string{"sbx-test-program"}, []string{"sbx"}},
	{"sbx --dr", []string{"--dry-run"}, []string{"--dir", "--policy"}},
	{"sbx --policy ", []string{"web", "default", "mine"}, []string{"list", "--read"}},
	{"sbx --policy=we", []string{"web"}, []string{"default"}},
	{"sbx -p we", []string{"web"}, []string{"default"}},
	{"sbx -np we", []string{"web"}, []string{"default"}},
	{"sbx --policy web --net ", []string{"host", "none"}, []string{"web", "file.txt"}},
	{"sbx --net=ho", []string{"host"}, []string{"none"}},
	{"sbx -e SBX_TEST_", []string{"SBX_TEST_VARIABLE"}, []string{"file.txt"}},
	{"sbx --read fi", []string{"file.txt"}, []string{"directory"}},
	{"sbx --dir ", []string{"directory"}, []string{"file.txt"}},
	{"sbx --keep-fd ", nil, []string{"file.txt", "host", "policy"}},
	{"sbx --policy web -- sbx-test-p", []string{"sbx-test-program"}, []string{"sbx"}},
	{"sbx -- sbx-test-program fi", []string{"file.txt"}, []string{"--policy", "host"}},
	{"sbx policy ", []string{"list", "show", "export"}, []string{"web", "--read", "dump"}},
	{"sbx policy sho", []string{"show"}, []string{"list"}},
	{"sbx policy show we", []string{"web"}, []string{"list", "default"}},
	{"sbx policy resolve --", []string{"--plain", "--json"}, []string{"--read"}},
	{"sbx policy export --to ", []string{"docker", "bwrap"}, []string{"web"}},
	{"sbx seccomp disasm fi", []string{"file.txt"}, []string{"web"}},
	{"sbx policy help files.re", []string{"files.read"}, []string{"files.write", "web"}},
	{"sbx policy help li", []string{"limits", "limits.memory"}, []string{"list"}},
	{"sbx policy new --extends we", []string{"web"}, []string{"default"}},
	{"sbx seccomp ", []string{"resolve", "dump", "emulate"}, []string{"openat2", "list"}},
	{"sbx seccomp resolve openat", []string{"openat", "openat2"}, []string{"open", "web"}},
	{"sbx seccomp resolve @sys", []string{"@system-service"}, []string{"@debug", "openat"}},
	{"sbx seccomp emulate web -s openat", []string{"openat", "openat2"}, []string{"open", "web"}},
	{"sbx seccomp emulate web --syscall ", []string{"openat2"}, []string{"@debug", "web"}},
	{"sbx seccomp emulate we", []string{"web"}, []string{"openat2"}},
	{"sbx seccomp dump --arch ", []string{"amd64", "arm64"}, []string{"web", "openat2"}},
	{"sbx shim ", []string{"install", "list", "remove"}, []string{"web", "show"}},
	{"sbx shim install we", []string{"web"}, []string{"list", "default"}},
	{"sbx bwrap --unshare-u", []string{"--unshare-user", "--unshare-uts"}, []string{"--unshare-net", "--policy"}},
	{"sbx bwrap --ro-bind fi", []string{"file.txt"}, []string{"web", "--policy"}},
	{"sbx bwrap --ro-bind / / -- sbx-test-p", []string{"sbx-test-program"}, []string{"sbx", "--policy"}},
	{"sbx bwrap -- sbx-test-program fi", []string{"file.txt"}, []string{"--policy", "--bind"}},
	{"sbx --policy \"we", []string{"web"}, []string{"default"}},
	{"sbx --policy 'we", []string{"web"}, []string{"default"}},
	{"sbx completion ", []string{"bash", "zsh", "fish"}, []string{"web"}},
}

// TestCompletion asks the shells themselves.
func TestCompletion(t *testing.T) {
	for shell, ask := range map[string]func(*testing.T, []string) string{"bash": askBash, "zsh": askZsh,
		"fish": askFish} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				if os.Getenv("SBX_MUST_WORK") == "1" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			shellWorld(t, shell)
			var lines []string
			for _, c := range completions {
				lines = append(lines, c.line)
			}
			answers := strings.Split(ask(t, lines), "=====\n")
			if len(answers) != len(lines)+1 {
				t.Fatalf("%d answers to %d lines: %q", len(answers)-1, len(lines), answers)
			}
			for i, c := range completions {
				got := strings.Split(strings.ReplaceAll(answers[i], "/", ""), "\n")
				for _, word := range c.with {
					if !slices.Contains(got, word) {
						t.Errorf("%q: no %q: %q", c.line, word, got)
					}
				}
				for _, word := range c.sans {
					if slices.Contains(got, word) {
						t.Errorf("%q: %q is among it: %q", c.line, word, got)
					}
				}
			}
		})
	}
}

// shellWorld makes a directory to stand in, with the script "script" there, a
// home without settings, and sbx in PATH.
func shellWorld(t *testing.T, shell string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	if err := (&completionCmd{Shell: shell}).run(&script); err != nil {
		t.Fatal(err)
	}
	policy := "version = 1\nsummary = \"Mine: mine\"\nextends = [\"base\"]\n[expect]\n"
	for name, text := range map[string]string{
		"script": script.String(), "file.txt": "", "directory/other": "", "sbx/policies/mine.toml": policy,
		"bin/sbx": "#!/bin/sh\n" + asSbx + "=1 exec " + self + " \"$@\"\n", "bin/sbx-test-program": "#!/bin/sh\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "ZDOTDIR"} {
		t.Setenv(name, dir)
	}
	t.Setenv("SBX_TEST_VARIABLE", "1")
	t.Setenv("TERM", "xterm")
	t.Setenv("PATH", dir+"/bin:"+os.Getenv("PATH"))
}

// askBash calls the function as bash would, which splits words at "=".
func askBash(t *testing.T, lines []string) string {
	const driver = `
compopt() { [[ $2 == default ]] && compgen -f -- "$cur"; [[ $2 == dirnames ]] && compgen -d -- "$cur"; true; }
source ./script
while IFS= read -r line; do
	read -ra COMP_WORDS <<<"${line//=/ = }"
	[[ $line == *[\ =] && $line != *= ]] && COMP_WORDS+=("")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_sbx
	printf '%s\n' "${COMPREPLY[@]}" =====
done`
	return shellOutput(t, lines, "bash", "--norc", "-c", driver)
}

// askFish uses the command that completes a line for scripts.
func askFish(t *testing.T, lines []string) string {
	return shellOutput(t, lines, "fish", "--no-config", "-c", `
source ./script
while read -l line
	complete -C "$line" | string replace -r '^--[a-z-]+=' '' | string replace -r '\t.*' ''
	echo =====
end`)
}

func shellOutput(t *testing.T, lines []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v: %s", name, err, &stderr)
	}
	return string(out)
}

// askZsh needs a terminal: only the line editor completes. What is offered is
// seen in the calls of compadd.
func askZsh(t *testing.T, lines []string) string {
	const driver = `
autoload -Uz compinit
compinit -D -u
source ./script
compadd() {
	local -a hits
	if [[ -z ${(M)@:#-[OAD]*} ]]; then
		builtin compadd -O hits "$@"
		print -rl -- $hits >>answers
	fi
	builtin compadd "$@"
}
zle-line-init() {
	local line
	for line in "${(f@)$(<lines)}"; do
		BUFFER=$line
		CURSOR=$#BUFFER
		zle list-choices 2>>errors
		print -r -- "=====" >>answers
	done
	BUFFER=exit
	zle accept-line
}
zle -N zle-line-init
`
	asked := strings.Join(lines, "\n")
	for name, text := range map[string]string{".zshrc": driver, "lines": asked, "answers": "", "errors": ""} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "zsh", "-d", "-i")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 200, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var screen strings.Builder
	if err := ptytest.Copy(&screen, terminal); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("zsh: %v: %s", err, &screen)
	}
	answers, err := os.ReadFile("answers")
	if err != nil {
		t.Fatal(err)
	}
	return string(answers)
}
