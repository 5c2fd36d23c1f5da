package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// toolsEntry is the entry for a server of MCP that docs/network.md has, with another server
// and other notes.
func toolsEntry(t *testing.T, notes string) (command string, args []string) {
	t.Helper()
	var entry struct {
		Command string
		Args    []string
	}
	doc := readFile(t, filepath.Join(base, "docs", "network.md"))
	line := regexp.MustCompile(`(?m)^\{"command": "sbx".*\}$`).FindString(doc)
	if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Command != "sbx" {
		t.Fatalf("docs/network.md has no entry for a server: %q, %v", line, err)
	}
	changed := 0
	for _, arg := range entry.Args {
		switch arg {
		case "--policy": // node trusts the authorities that it was built with
			args = append(args, "--env", "NODE_EXTRA_CA_CERTS")
		case "/srv/notes":
			arg, changed = notes, changed+1
		case "some-server":
			arg, changed = "tools-test", changed+1
		}
		args = append(args, arg)
	}
	if changed != 3 {
		t.Fatalf("the entry is another one: %q", line)
	}
	return binary("sbx"), args
}

// layNotes makes a project with notes that a server is to see, and a file that it is not to.
func layNotes(t *testing.T, home, name string, attr *syscall.SysProcAttr) (dir string) {
	t.Helper()
	dir = filepath.Join(home, "project-"+name)
	layFile(t, filepath.Join(dir, "notes", "a"), "note-77\n")
	layFile(t, filepath.Join(dir, "b"), "a secret\n")
	chownAll(t, dir, attr)
	return dir
}

// TestByNameTools: the entry of docs/network.md starts a server of tools, from npm's registry,
// that sees its notes and nothing else.
func TestByNameTools(t *testing.T) {
	if os.Getuid() != 0 || os.Getenv("SBX_NETWORK") == "" {
		return // make test-network
	}
	r := newRegistries(t)
	onceInWorld(t, func(t *testing.T, w *world) {
		r.trust(t)
		for as, attr := range callers() {
			home := filepath.Join(base, as, "net-home")
			layHome(t, home, attr, r)
			dir := layNotes(t, home, "tools", attr)
			command, args := toolsEntry(t, filepath.Join(dir, "notes"))
			var said strings.Builder
			say := func(id int, method, params string) {
				fmt.Fprintf(&said, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", id, method, params)
			}
			say(1, "initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`)
			said.WriteString(`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n")
			say(2, "tools/list", "{}")
			want := []string{`"serverInfo":{"name":"notes"`, `"name":"read_note"`}
			for i, c := range [...]struct{ file, want string }{
				{dir + "/notes/a", `note-77\n`}, {dir + "/b", "ENOENT"}, {home + "/.ssh/id_test", "ENOENT"},
			} {
				say(3+i, "tools/call", fmt.Sprintf(`{"name":"read_note","arguments":{"path":%q}}`, c.file))
				want = append(want, `"text":"`+c.want+`"`)
			}
			res := run(t, call{args: append([]string{command}, args...), dir: dir, stdin: said.String(), attr: attr,
				env:   withValues(userEnv(), "HOME="+home, "NODE_EXTRA_CA_CERTS="+filepath.Join(home, "ca.pem")),
				limit: patient(90 * time.Second)})
			lines := strings.SplitAfter(strings.TrimSuffix(res.stdout, "\n"), "\n")
			if res.status != 0 || len(lines) != len(want) {
				t.Fatalf("as %s: %v", as, res)
			}
			for i, line := range lines {
				if !strings.Contains(line, want[i]) {
					t.Errorf("as %s: %s is not in the answer %s", as, want[i], line)
				}
			}
		}
		if n := r.calls("evil.example.com") + w.questions("evil.example.com"); n > 0 {
			t.Errorf("%d came to a host that no role names", n)
		}
	}, r.serve)
}

// TestByNameAgentsTools: each of three agents, on the host, starts that server by the entry in its
// own settings, and tells its model of the tool. See TestByNameAgents.
func TestByNameAgentsTools(t *testing.T) {
	installed := os.Getenv("SBX_AGENTS")
	if os.Getuid() != 0 || installed == "" {
		return
	}
	r := newRegistries(t)
	r.models = map[string]func(path, body string) []byte{}
	told := map[string]bool{}
	for name, a := range agents {
		r.models[a.host] = func(path, body string) []byte {
			const tool = "mcp_" // and "_" or "__", the server's name and the tool's
			if strings.Contains(body, tool+"_notes") || strings.Contains(body, tool+"notes") {
				r.mu.Lock()
				told[name] = true
				r.mu.Unlock()
				return a.reply(path, "", "")
			}
			return a.answer(path, body, "sleep 1", "mcp_no such") // until the server is there
		}
	}
	onceInWorld(t, func(t *testing.T, w *world) {
		r.trust(t)
		attr := callers()["user"]
		home := filepath.Join(base, "user", "net-home")
		layHome(t, home, attr, r)
		ca := filepath.Join(home, "ca.pem")
		for name, a := range agents {
			dir := layNotes(t, home, name+"-tools", attr)
			command, args := toolsEntry(t, filepath.Join(dir, "notes"))
			list, err := json.Marshal(args) // TOML writes it the same way
			if err != nil {
				t.Fatal(err)
			}
			// The environment is for the test's authority.
			entry := fmt.Sprintf(`{"mcpServers":{"notes":{"command":%q,"args":%s,"env":{"NODE_EXTRA_CA_CERTS":%q}}}}`,
				command, list, ca)
			line := append([]string{filepath.Join(installed, "node_modules", ".bin", name)}, a.args...)
			switch name {
			case "claude":
				layFile(t, filepath.Join(dir, ".mcp.json"), entry)
				line = append(line, "--mcp-config", ".mcp.json")
			case "codex":
				layFile(t, filepath.Join(home, ".codex", "config.toml"), fmt.Sprintf("[mcp_servers.notes]\ncommand = %q\n"+
					"args = %s\nstartup_timeout_sec = 90\nenv = { NODE_EXTRA_CA_CERTS = %q }\n", command, list, ca))
				line = append(line, "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
			case "gemini":
				layFile(t, filepath.Join(dir, ".gemini", "settings.json"), entry)
			}
			chownAll(t, home, attr)
			env := withValues(userEnv(), "HOME="+home, "PATH="+installed+"/node_modules/.bin:/usr/bin:/bin", "MCP_TIMEOUT=90000",
				"GEMINI_CLI_TRUST_WORKSPACE=true", "NODE_EXTRA_CA_CERTS="+ca,
				"ANTHROPIC_API_KEY=key", "OPENAI_API_KEY=key", "GEMINI_API_KEY=key")
			res := run(t, call{args: line, dir: dir, env: env, attr: attr, limit: patient(90 * time.Second)})
			if res.status != 0 || !strings.Contains(res.stdout, "all is done") {
				t.Errorf("%s: %v", name, res)
			}
			r.mu.Lock()
			if !told[name] {
				t.Errorf("%s: its model is not told of the tool: %v", name, res)
			}
			r.mu.Unlock()
		}
	}, r.serve)
}
