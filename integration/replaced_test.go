package integration

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReplacedOnHost: when somebody on the host replaces or removes a file that is
// hidden or read-only inside, the kernel drops the mount. What can be read by that
// is told at once, and all of it at the end and in the receipt.
func TestReplacedOnHost(t *testing.T) {
	const odd = "a \\ b\nc.pem"
	for _, replaced := range []bool{true, false} {
		dir := t.TempDir()
		put := func(name, text string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		move := func(from, to string) {
			if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{".env", odd, ".gitattributes", ".editorconfig"} {
			put(name, "old")
		}
		report, err := os.Create(filepath.Join(t.TempDir(), "receipt"))
		if err != nil {
			t.Fatal(err)
		}
		defer report.Close()
		cmd := exec.Command(binary("sbx"), "--policy", "project", "--report", "3", "--", "sh", "-c",
			"cat .env && exit 1; echo ready; read x; exec 2>&1; cat .env; echo more >>.gitattributes; "+
				"echo no >>.editorconfig; true")
		stderr := &lockedBuffer{}
		cmd.Dir, cmd.Env, cmd.Stderr, cmd.ExtraFiles = dir, userEnv(), stderr, []*os.File{report}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("%q, %v\n%s", line, err, stderr)
		}
		at := func(name string) string { return filepath.Join(dir, name) }
		if replaced {
			for _, name := range []string{".env", ".gitattributes"} {
				put("new", "new")
				move("new", name)
			}
			const said = "sbx: note: replaced on the host, so no longer hidden: "
			eventually(t, "the note", func() bool { return strings.Contains(stderr.String(), said+at(".env")+"\n") })
			if err := os.Remove(at(odd)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the other note", func() bool { return strings.Contains(stderr.String(), `c.pem"`+"\n") })
		}
		time.Sleep(20 * time.Millisecond)
		if _, err := in.Write([]byte("go\n")); err != nil {
			t.Fatal(err)
		}
		var rest strings.Builder
		if _, err := lines.WriteTo(&rest); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		data, err := os.ReadFile(report.Name())
		if err != nil {
			t.Fatal(err)
		}
		var receipt struct {
			Notes []string
			Lost  []struct{ Path, Was string }
		}
		if err := json.Unmarshal(data, &receipt); err != nil {
			t.Fatal(err)
		}
		if !replaced {
			if strings.Contains(stderr.String(), "note") || len(receipt.Lost)+len(receipt.Notes) > 0 ||
				strings.Contains(rest.String(), "old") {
				t.Errorf("nothing was replaced: %+v\n%s\n%s", receipt, stderr, rest.String())
			}
			continue
		}
		var lost []string
		for _, l := range receipt.Lost {
			lost = append(lost, strings.TrimPrefix(l.Path, dir+"/")+" "+l.Was)
		}
		slices.Sort(lost)
		want := []string{".env hidden", ".gitattributes read-only", odd + " hidden"}
		slices.Sort(want)
		if !slices.Equal(lost, want) || len(receipt.Notes) != 2 {
			t.Errorf("the receipt says %q, want %q; %q", lost, want, receipt.Notes)
		}
		const end = "sbx: note: replaced on the host, so no longer read-only: "
		if !strings.Contains(stderr.String(), end+at(".gitattributes")+"\n") {
			t.Errorf("nothing is said at the end\n%s", stderr)
		}
		// It is as it is told.
		if got, err := os.ReadFile(at(".gitattributes")); err != nil || string(got) != "newmore\n" ||
			!strings.Contains(rest.String(), "new") || !strings.Contains(rest.String(), ".editorconfig: Read-only") {
			t.Errorf("%q, %v\n%s", got, err, rest.String())
		}
	}
	noStrays(t)
}

// TestReceiptReplaced: a receipt whose file somebody else has replaced is not taken
// for what stands there now.
func TestReceiptReplaced(t *testing.T) {
	for _, replaced := range []bool{true, false} {
		dir := t.TempDir()
		name := filepath.Join(dir, "receipt.json")
		report, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer report.Close()
		if replaced {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		r := run(t, call{args: []string{binary("sbx"), "--report", "3", "--", "true"}, dir: dir, files: []*os.File{report}})
		const said = "its file was removed meanwhile"
		if r.status != 0 || strings.Contains(r.stderr, said) != replaced {
			t.Errorf("removed: %v; %v", replaced, r)
		}
	}
}
