package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// schemas are the documents that receipts are compared with. A guest of the kernel matrix
// has none.
func schemas() []string {
	if guestFacts != "" {
		return nil
	}
	return []string{"docs/receipt.schema.json"}
}

// TestReceiptFile: --report json:FILE has a receipt of the schema, whatever was there before,
// and never by a link or where the program could write.
func TestReceiptFile(t *testing.T) {
	t.Parallel()
	dir, project := t.TempDir(), t.TempDir()
	schema := map[string]any{}
	for _, doc := range schemas() {
		text, err := os.ReadFile(filepath.Join(base, "docs", filepath.Base(doc)))
		if err == nil {
			err = json.Unmarshal(text, &schema)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "r.json")
	for _, x := range []struct {
		script string
		status int
		want   map[string]string
	}{
		{"exit 3", 3, map[string]string{"exit": "3", "status": "3"}},
		{"kill -9 $$", -1, map[string]string{"exit": "null", "status": "137", "signal": `"SIGKILL"`}},
		{"sleep 1000 & sleep 1000 & exit 0", 0, map[string]string{"exit": "0", "left": "2"}},
		{"sleep 1000", -1, map[string]string{"limits": `["time"]`, "exit": "null"}},
	} {
		if err := os.WriteFile(file, bytes.Repeat([]byte("old "), 10000), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary("sbx"), "--report", "json:"+file, "--limit", "time=1s", "--", "sh", "-c", x.script)
		cmd.Dir = project
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != x.status {
			t.Errorf("%s: %v\n%s", x.script, err, out)
		}
		var got map[string]json.RawMessage
		var value any
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &got)
		}
		if err == nil {
			err = json.Unmarshal(data, &value)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%.300s", x.script, err, data)
		}
		for name, want := range x.want {
			if string(got[name]) != want {
				t.Errorf("%s: %s is %s, want %s", x.script, name, got[name], want)
			}
		}
		if err := fits(schema, value, "receipt"); err != nil {
			t.Errorf("%s: %v", x.script, err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for name, why := range map[string]string{
		link: "symbolic link", "/dev/null": "no regular file", dir + "/no/file": "no such file",
	} {
		r := run(t, call{args: []string{binary("sbx"), "--report", "json:" + name, "--", "true"}, dir: project})
		if r.status != 125 || !strings.Contains(r.stderr, why) {
			t.Errorf("%s: %v", name, r)
		}
	}
	// In what the program may write to, it does not see the file.
	inside := filepath.Join(project, "r.json")
	r := run(t, call{args: []string{binary("sbx"), "--policy", "project", "--report", "json:" + inside, "--", "sh", "-c",
		"cat r.json; echo forged >r.json; rm -f r.json; mv r.json x; ln -f r.json y"}, dir: project})
	data, err := os.ReadFile(inside)
	if err != nil || !json.Valid(data) || strings.Contains(string(data), "forged") {
		t.Errorf("%v\n%v\n%.200s", r, err, data)
	}
}

// fits says what of a value is not as the schema says: types, constants, patterns, required
// and known properties.
func fits(schema map[string]any, v any, at string) error {
	if want, ok := schema["const"]; ok && want != v {
		return fmt.Errorf("%s is %v, want %v", at, v, want)
	}
	if p, ok := schema["pattern"].(string); ok {
		if s, _ := v.(string); !regexp.MustCompile(p).MatchString(s) {
			return fmt.Errorf("%s is %q, want %s", at, s, p)
		}
	}
	types, ok := schema["type"].([]any)
	if s, single := schema["type"].(string); single {
		types, ok = []any{s}, true
	}
	kind := map[bool]string{}
	switch x := v.(type) {
	case nil:
		kind[true] = "null"
	case bool:
		kind[true] = "boolean"
	case string:
		kind[true] = "string"
	case []any:
		kind[true] = "array"
	case map[string]any:
		kind[true] = "object"
	case float64:
		kind[true] = "number"
		if x == float64(int64(x)) {
			kind[false] = "integer"
		}
	}
	if ok {
		found := false
		for _, s := range types {
			found = found || s == kind[true] || s == kind[false]
		}
		if !found {
			return fmt.Errorf("%s is of type %v, want %v", at, kind, types)
		}
	}
	switch x := v.(type) {
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, v := range x {
			if err := fits(items, v, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := x[name.(string)]; !ok {
				return fmt.Errorf("%s has no %v", at, name)
			}
		}
		properties, some := schema["properties"].(map[string]any)
		for name, v := range x {
			p, known := properties[name].(map[string]any)
			if !known && some {
				return fmt.Errorf("the schema does not know %s.%s", at, name)
			}
			if err := fits(p, v, at+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestReadyAndBlock: --block-fd holds the program back until there is a byte, and --ready-fd
// tells which process it is.
func TestReadyAndBlock(t *testing.T) {
	t.Parallel()
	pipes := [4]*os.File{}
	for i := range 2 {
		var err error
		if pipes[2*i], pipes[2*i+1], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	told, tell, held, release := pipes[0], pipes[1], pipes[2], pipes[3]
	mark := filepath.Join(t.TempDir(), "mark")
	if err := os.WriteFile(mark, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary("sbx"), "--ready-fd", "3", "--block-fd", "4", "--write", mark, "--", "sh", "-c",
		"echo $$ >"+mark+"; ls /proc/self/fd | wc -l >>"+mark+"; exec sleep 1000")
	cmd.ExtraFiles = []*os.File{tell, held}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tell.Close()
	held.Close()
	time.Sleep(150 * time.Millisecond)
	if data, err := os.ReadFile(mark); err != nil || len(data) != 0 {
		t.Errorf("it has run before the byte: %q, %v", data, err)
	}
	if _, err := release.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := told.Read(line)
	var got struct {
		Ready, PID, Inside int
		Cgroup             string
	}
	if err == nil {
		err = json.Unmarshal(line[:n], &got)
	}
	if err != nil || got.Ready != 1 || got.Inside != 2 {
		t.Errorf("told %q, %v", line[:n], err)
	}
	eventually(t, "the program to say its pid", func() bool {
		data, err := os.ReadFile(mark)
		return err == nil && string(data) == fmt.Sprintf("%d\n4\n", got.Inside)
	})
	if got.PID <= 1 || unix.Kill(got.PID, unix.SIGTERM) != nil {
		t.Fatalf("process %d", got.PID)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(interface{ Signaled() bool }).Signaled() == false {
		t.Errorf("it was not that process: %v", err)
	}
	if n, err := told.Read(line); n != 0 || err == nil {
		t.Errorf("more was told: %q", line[:n])
	}
	for _, x := range []struct {
		args, files []string
		why         string
	}{
		{[]string{"--ready-fd", "1"}, nil, "the target has it too"},
		{[]string{"--ready-fd", "3", "--keep-fd", "3"}, nil, "the target has it too"},
		{[]string{"--ready-fd", "4"}, nil, "is the same file"},
		{[]string{"--ready-fd", "77"}, nil, "not open"},
		{[]string{"--block-fd", "0"}, nil, "the target has this descriptor too"},
		{[]string{"--block-fd", "77"}, nil, "not open"},
		{[]string{"--block-fd", "3"}, nil, "not open for reading"},
		{[]string{"--block-fd", "5"}, nil, "closed without one"},
		{[]string{"--block-fd", "5", "--dry-run"}, nil, "held back"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ended, end, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		end.Close()
		cmd := exec.Command(binary("sbx"), append(x.args, "--", "true")...)
		cmd.Stdout = w // and 4 is the same
		cmd.ExtraFiles = []*os.File{w, w, ended}
		if x.args[1] == "3" && len(x.args) == 2 {
			cmd.Stdout = nil
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err = cmd.Run()
		if cmd.ProcessState.ExitCode() != 125 || !strings.Contains(stderr.String(), x.why) {
			t.Errorf("%v: %v, %s", x.args, err, &stderr)
		}
		for _, f := range []*os.File{r, w, ended} {
			f.Close()
		}
	}
}
