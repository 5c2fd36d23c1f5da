package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestCookbook does what docs/cookbook.md and its like say. A section with a comment
//
//	<!-- test: run -->             is run: the lines with $ in a console block, in bash
//	<!-- test: run PACKAGE... -->  only where SBX_COOKBOOK=1 says that these are there
//	<!-- test: check -->           has policies that are read, and nothing that is run
//
// Policies are checked in both. What the check finds is an error, unless the recipe
// names the kind of finding. Each block whose first or second line is a comment with a name is that file. Of
// what is printed "..." stands for anything; notes of sbx's are about this machine.
// What a recipe starts it also ends.
func TestCookbook(t *testing.T) {
	// Recipes are a user's. Some programs want a name for whoever runs them: where
	// these are there, root runs all recipes as a user who has one.
	asNamed := os.Getenv("SBX_COOKBOOK") != ""
	if asNamed != asRoot() {
		return
	}
	for _, doc := range cookbooks() {
		data, err := os.ReadFile(filepath.Join(base, "docs", filepath.Base(doc)))
		if err != nil {
			t.Fatal(err)
		}
		all := recipesOf(string(data))
		if !slices.ContainsFunc(all, func(r recipe) bool { return r.mode == "run" }) {
			t.Errorf("nothing in %s is run", doc)
		}
		for _, r := range all {
			t.Run(filepath.Base(doc)+"/"+r.name, func(t *testing.T) { r.try(t, asNamed) })
		}
	}
}

// cookbooks are the documents with recipes. A guest of the kernel matrix has neither
// them nor the programs in them.
func cookbooks() []string {
	if guestFacts != "" {
		return nil
	}
	return []string{"docs/cookbook.md", "docs/cluster.md", "README.md"}
}

// wwwData is Debian's number for www-data, which has no rights.
const wwwData = 33

// recipe is a section of a document.
type recipe struct {
	name   string
	text   string
	mode   string   // run or check
	needs  []string // packages
	files  map[string]string
	script []typed
}

// typed is a command and the lines that it prints.
type typed struct{ command, prints string }

var (
	testComment = regexp.MustCompile(`(?m)^<!-- test: (run|check)(.*) -->$`)
	finding     = regexp.MustCompile(`(?m)^\S.*\(([a-z-]+)\)$`)
	fencedBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	namedFile   = regexp.MustCompile(`(?m)\A(?:#!.*\n)?# ([a-zA-Z0-9._/-]+)(?:$|,.*$)`)
)

func recipesOf(doc string) (out []recipe) {
	for _, section := range strings.Split("\n"+doc, "\n## ") {
		m := testComment.FindStringSubmatch(section)
		if m == nil {
			continue
		}
		name, _, _ := strings.Cut(section, "\n")
		r := recipe{name: name, text: section, mode: m[1], needs: strings.Fields(m[2]), files: map[string]string{}}
		for _, b := range fencedBlock.FindAllStringSubmatch(section, -1) {
			if b[1] == "console" {
				for line := range strings.Lines(b[2]) {
					if command, ok := strings.CutPrefix(line, "$ "); ok {
						r.script = append(r.script, typed{command: command})
					} else if n := len(r.script); n > 0 {
						r.script[n-1].prints += line
					}
				}
			} else if f := namedFile.FindStringSubmatch(b[2]); f != nil && b[1] != "" {
				r.files[f[1]] = b[2]
			}
		}
		out = append(out, r)
	}
	return out
}

// try does what the recipe's mode says.
func (r *recipe) try(t *testing.T, asNamed bool) {
	top, err := os.MkdirTemp(home(), "recipe")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	dir := filepath.Join(top, "work")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	own := func(name string) {
		if asNamed {
			if err := os.Chown(name, wwwData, wwwData); err != nil {
				t.Fatal(err)
			}
		}
	}
	own(top)
	own(dir)
	for name, text := range r.files {
		file, mode := filepath.Join(dir, name), os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		own(file)
		if filepath.Ext(name) == ".toml" && !asNamed {
			res := run(t, call{args: []string{binary("sbx"), "policy", "check", "./" + name}, dir: dir})
			for _, f := range finding.FindAllStringSubmatch(res.stdout, -1) {
				if f[1] == "error" || !strings.Contains(r.text, f[1]) {
					t.Errorf("%s has a finding that the recipe does not name: %s", name, f[0])
				}
			}
			if res.status > 1 {
				t.Errorf("%s: %v", name, res)
			}
		}
	}
	if r.mode == "check" || len(r.needs) > 0 && os.Getenv("SBX_COOKBOOK") == "" {
		if r.mode == "check" && len(r.script) > 0 {
			t.Error("it has commands, which nobody runs")
		}
		return
	}
	if len(r.script) == 0 {
		t.Fatal("there is nothing to run")
	}
	var script strings.Builder
	script.WriteString("exec 2>&1\n")
	for i, x := range r.script {
		fmt.Fprintf(&script, "printf '@@%d\\n'\n%s", i, x.command)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	c := call{args: []string{bash, "-c", script.String()}, dir: dir}
	if asNamed {
		c.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: wwwData, Gid: wwwData}}
		c.env = append(userEnv(), "HOME="+top, "USER=www-data", "LOGNAME=www-data")
	}
	res := run(t, c)
	noStrays(t)
	for i, part := range strings.Split("\n"+res.stdout, "\n@@")[1:] {
		_, got, _ := strings.Cut(part, "\n")
		if want := pattern(r.script[i].prints); !want.MatchString(printedBy(got, r.script[i].prints)) {
			t.Errorf("$ %sprints\n%s\nwant\n%s", r.script[i].command, got, r.script[i].prints)
		}
	}
}

// printedBy is what was printed, without sbx's notes of this machine and bash's of
// its jobs.
func printedBy(got, want string) string {
	lines := slices.DeleteFunc(strings.Split(got, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "sbx: note:") && !strings.Contains(want, "sbx: note:") ||
			strings.HasPrefix(line, "bash: line ")
	})
	return strings.TrimSuffix(strings.Join(lines, "\n"), "\n")
}

// pattern matches what a recipe says.
func pattern(want string) *regexp.Regexp {
	p := regexp.QuoteMeta(strings.TrimSuffix(want, "\n"))
	return regexp.MustCompile(`(?s)\A` + strings.ReplaceAll(p, `\.\.\.`, ".*") + `\z`)
}
