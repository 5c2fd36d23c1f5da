// Package policies has the policies that come with sbx and finds those of the
// machine and its users.
package policies

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sbx/policy"
)

//go:generate go run ./internal/gen

//go:embed *.toml
var files embed.FS

// Source is where a policy comes from.
type Source string

// The sources, in the order in which a name is looked up. File is a policy
// given by its path.
const (
	User     Source = "user"
	System   Source = "system"
	Embedded Source = "embedded"
	File     Source = "file"
)

// systemDir has the machine's policies.
const systemDir = "/etc/sbx/policies"

// Find gives the policy of that name, resolved: the user's, else the
// machine's, else the embedded one. A name with a slash is a path and used as
// such. What extends names is looked up from where the policy itself was found
// on, so that a user's policies change neither the machine's nor the embedded
// ones; a policy that extends its own name means the next one of that name.
func Find(name string) (*policy.Policy, error) {
	f, err := find(name, "", 0)
	if err != nil {
		return nil, err
	}
	if f != nil {
		return f.Resolve()
	}
	if p := resolved(name); p != nil {
		return p, nil
	}
	return nil, hintAtFile(unknown(name), name, ".", "--policy %s")
}

// Loaded is one policy file as it was read.
type Loaded struct {
	// Base is the policy's name: the file's without ".toml".
	Base   string
	Source Source
	// Path is the file's; of an embedded policy its name.
	Path string
	Data []byte

	from policy.Source
}

// Load reads the file of the policy that Find would give.
func Load(name string) (*Loaded, error) {
	l, err := load(name, "", 0)
	return l, hintAtFile(err, name, ".", "--policy %s")
}

// Parse parses the file. The policy's Name is its path; an embedded one's
// "embedded:" and its name, which is no path.
func (l *Loaded) Parse() (*policy.Policy, error) {
	p, err := policy.Parse(l.label(), l.Data)
	if err != nil {
		return nil, err
	}
	p.Name = l.label()
	if l.from.Path != "" {
		p.SetSources([]policy.Source{l.from})
	}
	if err := l.readProfile(p); err != nil {
		return nil, err
	}
	return p, nil
}

func (l *Loaded) label() string {
	if l.Source == Embedded {
		return "embedded:" + l.Base
	}
	return l.Path
}

// Resolve parses the file and sums up what it extends. The result's Name is
// the policy's name, or its path if it was given by path.
func (l *Loaded) Resolve() (*policy.Policy, error) {
	p, err := l.Parse()
	if err != nil {
		return nil, err
	}
	from := map[string]*Loaded{p.Name: l}
	sources := p.Sources()
	p, err = policy.Resolve(p, func(name string, by *policy.Policy) (*policy.Policy, error) {
		next, err := from[by.Name].extended(name)
		if err != nil {
			return nil, err
		}
		q, err := next.Parse()
		if err != nil {
			return nil, err
		}
		from[q.Name] = next
		sources = append(sources, q.Sources()...)
		return q, nil
	})
	if err != nil {
		return nil, err
	}
	p.SetSources(sources)
	if p.Name = l.Base; l.Source == File {
		p.Name = l.Path
	}
	return p, nil
}

// extended loads what l extends under that name.
func (l *Loaded) extended(name string) (*Loaded, error) {
	below := 0
	switch {
	case l.Source == Embedded:
		if strings.Contains(name, "/") {
			return nil, errors.New("an embedded policy extends no file")
		}
		below = 2
	case l.Source == System:
		below = 1 // the machine's policies are not for a user to change
		if name == l.Base {
			below = 2
		}
	case l.Source == User && name == l.Base:
		below = 1
	}
	dir := filepath.Dir(l.Path)
	next, err := load(name, dir, below)
	if name != l.Base {
		err = hintAtFile(err, name, dir, "extends = [\"%s\"]")
	}
	return next, err
}

// load is find, and then the embedded policies.
func load(name, dir string, leaveOut int) (*Loaded, error) {
	if l, err := find(name, dir, leaveOut); l != nil || err != nil {
		return l, err
	}
	data, err := files.ReadFile(name + ".toml")
	if err != nil {
		return nil, unknown(name)
	}
	return &Loaded{Base: name, Source: Embedded, Path: name, Data: data}, nil
}

// find reads the file of that name, leaving out the first so many places. A
// path that is not absolute is relative to dir. It gives nil where there is
// none, so that the name can only be an embedded policy's.
func find(name, dir string, leaveOut int) (*Loaded, error) {
	if strings.Contains(name, "/") {
		if dir != "" && !path.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		data, from, err := readFile(name)
		if err != nil {
			return nil, err
		}
		base := strings.TrimSuffix(path.Base(name), ".toml")
		return &Loaded{Base: base, Source: File, Path: name, Data: data, from: from}, nil
	}
	if !policy.ValidName(name) {
		return nil, &policy.Error{
			Msg: strconv.Quote(name) + " is no policy name",
			Fix: "a policy file is given by a path with a slash, as ./" + strings.TrimSuffix(name, ".toml") + ".toml",
		}
	}
	for i, place := range places() {
		if i < leaveOut || place.dir == "" {
			continue
		}
		file := place.dir + "/" + name + ".toml"
		data, from, err := readTrusted(file)
		if errors.Is(err, fs.ErrNotExist) || place.source == User && errors.Is(err, errUnsearchable) {
			// A configuration that the caller may not even look into is not
			// the caller's: $HOME is often another user's after su.
			continue
		}
		if err != nil {
			return nil, err
		}
		return &Loaded{Base: name, Source: place.source, Path: file, Data: data, from: from}, nil
	}
	return nil, nil
}

type place struct {
	source Source
	dir    string
}

// places are the directories that a name is looked up in before the embedded
// policies.
func places() []place {
	config := os.Getenv("XDG_CONFIG_HOME")
	if !path.IsAbs(config) {
		config = ""
		if home := os.Getenv("HOME"); path.IsAbs(home) {
			config = path.Join(home, ".config")
		}
	}
	if config != "" {
		config = path.Join(config, "sbx/policies")
	}
	return []place{{User, config}, {System, systemDir}}
}

// UserDir is the directory of the caller's own policies, which may yet be missing.
func UserDir() (string, error) {
	if dir := places()[0].dir; dir != "" {
		return dir, nil
	}
	return "", errors.New("neither XDG_CONFIG_HOME nor HOME is an absolute path")
}

// Names are the names of the embedded policies, in order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil { // the root of an embed.FS is always there
		panic(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".toml"))
	}
	slices.Sort(names)
	return names
}

// unknownError says that no policy has the name.
type unknownError struct{ cause policy.Error }

func (e *unknownError) Error() string { return e.cause.Error() }

// Unwrap shows the hint to those that look for a policy.Error.
func (e *unknownError) Unwrap() error { return &e.cause }

func unknown(name string) error {
	fix := policy.Suggest(name, Names())
	if fix == "" {
		fix = "sbx policy list prints those that there are"
	}
	return &unknownError{policy.Error{Msg: "no policy " + strconv.Quote(name), Fix: fix}}
}

// hintAtFile has the error for an unknown name say how a file of that name in dir
// is meant, if there is one: a name alone never means a file that just happens to
// lie there. The hint's verb %s is for the file's path.
func hintAtFile(err error, name, dir, hint string) error {
	var e *unknownError
	if errors.As(err, &e) {
		st, err := os.Lstat(filepath.Join(dir, name+".toml"))
		if err == nil && st.Mode().IsRegular() {
			e.cause.Fix = fmt.Sprintf("there is ./%s.toml; a file is named by its path: "+hint, name, "./"+name+".toml")
		}
	}
	return err
}

// Sum is a policy that stands in no file, with all that it extends, of the embedded ones.
func Sum(p *policy.Policy) (*policy.Policy, error) {
	return policy.Resolve(p, func(name string, _ *policy.Policy) (*policy.Policy, error) {
		l, err := load(name, "", 2)
		if err != nil {
			return nil, err
		}
		return l.Parse()
	})
}
