package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"sbx/internal/ptytest"
)

// editedLines are lines in front of the key that completes, and what bash's line editor
// makes of them: names in quotes, as a line of the shell's has them.
var editedLines = [][2]string{
	{`sbx --read it`, `sbx --read it\'s\ a\:b.txt `},
	{`sbx --read=it`, `sbx --read=it\'s\ a\:b.txt `},
	{`sbx --read it\'s\ a\:`, `sbx --read it\'s\ a\:b.txt `},
	{`sbx --policy=web --dir dir\ w`, `sbx --policy=web --dir dir\ with\ spaces/`},
	{`sbx policy show ./it`, `sbx policy show ./it\'s\ a\:b.txt `},
	{`sbx --policy=we`, `sbx --policy=web `},
	{`sbx --policy "we`, `sbx --policy "web" `},
	{`sbx -p 'we`, `sbx -p 'web' `},
	{`sbx --policy=web -- sbx-test-program it`, `sbx --policy=web -- sbx-test-program it\'s\ a\:b.txt `},
	{`sbx -- sbx-test-program "it`, `sbx -- sbx-test-program "it's a:b.txt" `},
	{`sbx bwrap --ro-bind it`, `sbx bwrap --ro-bind it\'s\ a\:b.txt `},
	{`sbx bwrap --bind / / -- sbx-test-program it`, `sbx bwrap --bind / / -- sbx-test-program it\'s\ a\:b.txt `},
}

// TestCompletedLines types into bash's own line editor, without bash-completion and, where
// it is installed, with it.
func TestCompletedLines(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Fatal(err)
	}
	shellWorld(t, "bash")
	for _, name := range []string{"it's a:b.txt", "dir with spaces/other"} {
		if directory, _, nested := strings.Cut(name, "/"); nested {
			if err := os.Mkdir(directory, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	completeLines(t, "")
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err == nil {
		completeLines(t, "source "+library+"\n")
	}
}

// completeLines compares what bash makes of the lines, with this before its settings.
func completeLines(t *testing.T, before string) {
	t.Helper()
	const settings = `
source ./script
bind '"\C-t": complete'
bind -x '"\C-g": dump'
dump() {
	printf '%s\n' "$READLINE_LINE" >>answers
	READLINE_LINE= READLINE_POINT=0
}
`
	for name, content := range map[string]string{"settings": before + settings, "answers": ""} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	terminal, err := pty.Start(exec.CommandContext(ctx, "bash", "--noprofile", "--rcfile", "settings", "-i"))
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var keys, want strings.Builder
	for _, line := range editedLines {
		keys.WriteString(line[0] + "\x14\x07")
		want.WriteString(line[1] + "\n")
	}
	if _, err := terminal.WriteString(keys.String() + "exit\r"); err != nil {
		t.Fatal(err)
	}
	var screen strings.Builder
	if err := ptytest.Copy(&screen, terminal); err != nil {
		t.Error(err)
	}
	answers, err := os.ReadFile("answers")
	if err != nil {
		t.Fatal(err)
	}
	if string(answers) != want.String() {
		t.Errorf("%sgot:\n%swant:\n%sscreen:\n%s", before, answers, &want, &screen)
	}
}
