package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// setups are the documents with set-ups for agents.
func setups() []string {
	if guestFacts != "" {
		return nil
	}
	return []string{"docs/network.md"}
}

// madeByAgent is what a model has its agent do: it writes, commits, and looks around.
const madeByAgent = "echo made >made && git add made && git -c user.name=a -c user.email=a@b commit -qm made; " +
	"cat ../secret.txt .git/hooks/x; tee .git/hooks/pre-commit </dev/null; ls ~/.ssh; printf 'seen-%d\\n' 42"

// agent is a command-line agent: how it works without a person, and what its model says.
type agent struct {
	host string
	args []string
	// tool runs commands, and input is what it takes; offered is in requests that name it, and
	// result in those that have what came of it.
	tool, input, offered, result string
	// reply has the model use the tool, or with "" say that all is done.
	reply func(path, tool, input string) []byte
}

var agents = map[string]agent{
	"claude": {"api.anthropic.com", []string{"--dangerously-skip-permissions", "-p", "do it"},
		"Bash", `{"command":%q,"description":"it"}`, `"name":"Bash"`, `"tool_result"`, anthropic},
	"codex": {"api.openai.com", []string{"exec", "do it"},
		"exec_command", `{"cmd":%q}`, "", `"function_call_output"`, openai},
	"gemini": {"generativelanguage.googleapis.com", []string{"--yolo", "--skip-trust", "-p", "do it"},
		"run_shell_command", `{"command":%q,"description":"it"}`, "run_shell_command", `"functionResponse"`, google},
}

// answer has the agent run a command until enough is in what it asks.
func (a *agent) answer(path, body, command, enough string) []byte {
	if !strings.Contains(body, a.offered) || strings.Contains(body, enough) {
		return a.reply(path, "", "")
	}
	return a.reply(path, a.tool, fmt.Sprintf(a.input, command))
}

// TestByNameAgents: three agents do what their models say, with the lines of docs/network.md:
// they reach their model and commit, and see no secret. SBX_AGENTS is the directory in which
// they are installed; see make test-agents.
func TestByNameAgents(t *testing.T) {
	installed := os.Getenv("SBX_AGENTS")
	if os.Getuid() != 0 || installed == "" {
		return
	}
	doc := readFile(t, filepath.Join(base, "docs", "network.md"))
	r := newRegistries(t)
	r.models = map[string]func(path, body string) []byte{}
	told := map[string]string{} // what each model has been told
	for name, a := range agents {
		r.models[a.host] = func(path, body string) []byte {
			if strings.Contains(body, "seen-42") {
				r.mu.Lock()
				told[name] = body
				r.mu.Unlock()
			}
			return a.answer(path, body, madeByAgent, a.result)
		}
	}
	onceInWorld(t, func(t *testing.T, w *world) {
		r.trust(t)
		attr := callers()["user"] // one of them does not work as root
		home := filepath.Join(base, "user", "net-home")
		layHome(t, home, attr, r)
		for name, a := range agents {
			var words []string
			for line := range strings.Lines(doc) {
				if strings.HasPrefix(line, "sbx -p agent ") && strings.Contains(line, " -- "+name) {
					words = strings.Fields(line)
				}
			}
			if words == nil {
				t.Fatalf("there is no line for %s in docs/network.md", name)
			}
			dir := filepath.Join(home, "project-"+name)
			layFile(t, filepath.Join(dir, "readme"), "")
			if r := run(t, call{args: []string{"git", "init", "-q", dir}}); r.status != 0 {
				t.Fatal(r)
			}
			chownAll(t, home, attr)
			env := withValues(userEnv(), "HOME="+home, "PATH="+installed+"/node_modules/.bin:/usr/bin:/bin",
				"ANTHROPIC_API_KEY=key", "OPENAI_API_KEY=key", "GEMINI_API_KEY=key",
				"NODE_EXTRA_CA_CERTS="+filepath.Join(home, "ca.pem"))
			args := append([]string{binary("sbx"), "--read", installed}, append(words[1:], a.args...)...)
			res := run(t, call{args: args, dir: dir, env: env, attr: attr, limit: patient(90 * time.Second)})
			if res.status != 0 || !strings.Contains(res.stdout, "all is done") {
				t.Errorf("%s: %v", name, res)
			}
			log := run(t, call{args: []string{"git", "-C", dir, "log", "--format=%s"}, env: env, attr: attr})
			if log.stdout != "made\n" {
				t.Errorf("%s: the log of the project: %v\n%v", name, log, res)
			}
			r.mu.Lock()
			said := told[name]
			r.mu.Unlock()
			for _, want := range []string{
				"secret.txt: No such file", "pre-commit: Read-only file system", ".ssh': No such file",
			} {
				if !strings.Contains(said, want) {
					before, _, _ := strings.Cut(said, "seen-42")
					t.Errorf("%s: its model is not told %q:\n%s", name, want, before[max(len(before)-1000, 0):])
				}
			}
			if strings.Contains(said, "a secret") || strings.Contains(said, "id_test") {
				t.Errorf("%s: its model is told a secret", name)
			}
		}
	}, r.serve)
}

// withValues is an environment with those variables, in the place of others of their names.
func withValues(env []string, values ...string) []string {
	for _, v := range values {
		name, _, _ := strings.Cut(v, "=")
		for i := len(env) - 1; i >= 0; i-- {
			if strings.HasPrefix(env[i], name+"=") {
				env = append(env[:i:i], env[i+1:]...)
			}
		}
	}
	return append(env, values...)
}

// events are a stream of events, each a kind, which may be empty, and its data.
func events(list ...string) []byte {
	var b strings.Builder
	for i := 0; i < len(list); i += 2 {
		if list[i] != "" {
			fmt.Fprintf(&b, "event: %s\n", list[i])
		}
		fmt.Fprintf(&b, "data: %s\n\n", list[i+1])
	}
	return []byte(b.String())
}

func anthropic(path, tool, input string) []byte {
	if path != "/v1/messages" {
		return nil
	}
	block, delta, reason := `{"type":"text","text":""}`, `{"type":"text_delta","text":"all is done"}`, "end_turn"
	if tool != "" {
		block = fmt.Sprintf(`{"type":"tool_use","id":"t1","name":%q,"input":{}}`, tool)
		delta = fmt.Sprintf(`{"type":"input_json_delta","partial_json":%q}`, input)
		reason = "tool_use"
	}
	return events(
		"message_start", `{"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","model":"m",`+
			`"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}`,
		"content_block_start", `{"type":"content_block_start","index":0,"content_block":`+block+`}`,
		"content_block_delta", `{"type":"content_block_delta","index":0,"delta":`+delta+`}`,
		"content_block_stop", `{"type":"content_block_stop","index":0}`,
		"message_delta", `{"type":"message_delta","delta":{"stop_reason":"`+reason+`","stop_sequence":null},`+
			`"usage":{"output_tokens":5}}`,
		"message_stop", `{"type":"message_stop"}`)
}

func openai(path, tool, input string) []byte {
	if path != "/v1/responses" {
		return nil
	}
	item := `{"type":"message","role":"assistant","id":"m1","content":[{"type":"output_text","text":"all is done"}]}`
	if tool != "" {
		item = fmt.Sprintf(`{"type":"function_call","id":"f1","call_id":"c1","name":%q,"arguments":%q}`, tool, input)
	}
	return events(
		"response.created", `{"type":"response.created","response":{"id":"r1"}}`,
		"response.output_item.done", `{"type":"response.output_item.done","output_index":0,"item":`+item+`}`,
		"response.completed", `{"type":"response.completed","response":{"id":"r1","usage":{"input_tokens":1,`+
			`"input_tokens_details":null,"output_tokens":1,"output_tokens_details":null,"total_tokens":2}}}`)
}

func google(path, tool, input string) []byte {
	if !strings.HasSuffix(path, ":streamGenerateContent") {
		return nil
	}
	part := `{"text":"all is done"}`
	if tool != "" {
		part = fmt.Sprintf(`{"functionCall":{"name":%q,"args":%s}}`, tool, input)
	}
	return events("", `{"candidates":[{"content":{"role":"model","parts":[`+part+`]},"finishReason":"STOP","index":0}],`+
		`"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}}`)
}
