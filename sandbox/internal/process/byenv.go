package process

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// byEnv is a script whose first line has env(1) look for a program in PATH.
type byEnv struct {
	script, program string
	// outside is the first of that name that the caller's shell would find and that is not
	// inside; hop is what of it is missing there. run is what env finds inside.
	outside, hop, run string
}

// findByEnv is about the target, if it is such a script of the caller's own; those of the
// system name what they are to run.
func (e Exec) findByEnv() (b byEnv, ok bool) {
	for _, p := range e.Paths {
		if strings.HasPrefix(p, "/usr/") || strings.HasPrefix(p, "/bin/") {
			continue
		}
		f := e.walk(p)
		if f.hop != "" || f.host == "" {
			continue
		}
		if b.script, b.program = p, askedOfEnv(firstLine(f.host)); b.program == "" {
			return b, false
		}
		e.lookInPath(&b)
		return b, true
	}
	return b, false
}

// askedOfEnv is the program that env looks for, with the carriage return behind it that the
// kernel takes for a part of the name; "" if the line starts something else.
func askedOfEnv(line string) string {
	interpreter, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	rest = strings.Trim(rest, " ")
	if path.Base(interpreter) != "env" || rest == "" || rest[0] != '-' {
		if path.Base(interpreter) == "env" {
			return rest // one argument, whatever is in it
		}
		return ""
	}
	if !strings.HasPrefix(rest, "-S") && !strings.HasPrefix(rest, "-vS") && !strings.HasPrefix(rest, "--split-string") {
		return ""
	}
	value := false // of the option before
	for _, word := range strings.Fields(rest) {
		word = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(word, "-S"), "-vS"), "--split-string=")
		if word != "" && word[0] != '-' && !strings.Contains(word, "=") && !value {
			return word
		}
		value = word == "-u" || word == "-C" || word == "-a"
	}
	return ""
}

// lookInPath looks where env would, until something is found that is inside.
func (e Exec) lookInPath(b *byEnv) {
	list := []string{""} // a path
	if !strings.Contains(b.program, "/") {
		list = nil
		for _, v := range e.Env {
			if value, ok := strings.CutPrefix(v, "PATH="); ok {
				list = filepath.SplitList(value)
			}
		}
	}
	for _, dir := range list {
		p := e.absolute(path.Join(dir, b.program))
		if unix.Faccessat(unix.AT_FDCWD, p, unix.X_OK, 0) != nil {
			continue // most are nowhere
		}
		f := e.walk(p)
		if f.hop == "" && !f.hidden {
			b.run = p
			return
		}
		if b.outside == "" && runnable(p) {
			b.outside, b.hop = p, f.hop
		}
	}
}

// EnvPassedOver says that env(1) is going to find another program for a script than on the
// host, where the first is not inside; "" where it finds the same, or none.
func (e Exec) EnvPassedOver() string {
	if e.Inside == nil {
		return ""
	}
	b, ok := e.findByEnv()
	if !ok || b.outside == "" || b.run == "" {
		return ""
	}
	return fmt.Sprintf("%s is not in the sandbox, so %s runs by the next one in PATH: %s", text.Quote(b.outside),
		text.Quote(b.script), text.Quote(b.run))
}

// EnvHint is why env(1) did not find the program that a script's first line names, or "".
func (e Exec) EnvHint() string {
	if e.Inside == nil {
		return ""
	}
	b, ok := e.findByEnv()
	bare, crlf := strings.CutSuffix(b.program, "\r")
	switch {
	case !ok || b.run != "":
		return ""
	case crlf:
		return carriageReturn(b.script, bare)
	case b.outside == "":
		return ""
	}
	hint := fmt.Sprintf("%s is inside, but its first line has env look for %q", text.Quote(b.script), b.program)
	if b.hop != b.outside {
		hint += ", " + text.Quote(b.outside) + " leads to"
	} else {
		hint += ", which is"
	}
	return hint + fmt.Sprintf(" %s, and the policy does not show that; show it with --read %s", text.Quote(b.hop),
		text.Quote(showFor(b.hop)))
}

// carriageReturn is the hint for a script with the line ends of another system.
func carriageReturn(name, interpreter string) string {
	return fmt.Sprintf("the first line of %s ends in a carriage return, so its interpreter would be %q; "+
		"take it out: sed -i 's/\\r$//' %s", text.Quote(name), interpreter+"\r", text.Quote(name))
}
