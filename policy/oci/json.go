package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// Bounds of a profile. One that passes them is refused.
const (
	// MaxSize is the most bytes a profile may have.
	MaxSize = 1 << 20
	// maxDepth is how deep lists and objects may nest; a profile needs six.
	maxDepth = 8
)

// node is a JSON value and where it begins.
type node struct {
	at int
	// value is nil, a bool, a string, a json.Number, a []*node or a []member.
	value any
}

type member struct {
	key string
	at  int
	*node
}

// reader reads JSON so that nothing is lost: package json's own decoding
// takes keys in any case and the last of several that are alike.
type reader struct {
	file string
	data []byte
	dec  *json.Decoder
	// objects counts what was read, against lists of a million nothings.
	objects int
	// lossy skips unknown calls that would be allowed; skipped names them.
	lossy   bool
	skipped []string
	// notes say what has no effect.
	notes []string
	// lines are those that end before byte counted; see lineOf.
	counted, lines int
}

// fail is an error at a byte of the profile: its column counts bytes.
func (r *reader) fail(at int, format string, args ...any) *policy.Error {
	at = min(max(at, 0), len(r.data))
	before := r.data[:at]
	return &policy.Error{
		File: r.file, Line: 1 + bytes.Count(before, []byte("\n")), Col: at - bytes.LastIndexByte(before, '\n'),
		Msg: fmt.Sprintf(format, args...),
	}
}

// lineOf is the line of a byte. Who asks of one after another has each byte counted once.
func (r *reader) lineOf(at int) int {
	at = min(max(at, 0), len(r.data))
	if at < r.counted {
		r.counted, r.lines = 0, 0
	}
	r.lines += bytes.Count(r.data[r.counted:at], []byte("\n"))
	r.counted = at
	return r.lines + 1
}

// hint adds the fix to an error of fail's.
func hint(e *policy.Error, format string, args ...any) *policy.Error {
	e.Fix = fmt.Sprintf(format, args...)
	return e
}

// near names the valid name that is nearest to a misspelt one.
func near(e *policy.Error, got string, valid func(func(string) bool)) *policy.Error {
	if n := seccomp.Nearest(got, valid); n != "" {
		e.Fix = fmt.Sprintf("did you mean %q?", n)
	}
	return e
}

// document reads the one value that data is.
func (r *reader) document() (*node, error) {
	if len(r.data) > MaxSize {
		return nil, &policy.Error{File: r.file, Msg: fmt.Sprintf("more than %d bytes, the most a profile may have", MaxSize)}
	}
	r.data = bytes.TrimPrefix(r.data, []byte("\xef\xbb\xbf")) // a byte order mark
	r.dec = json.NewDecoder(bytes.NewReader(r.data))
	r.dec.UseNumber()
	n, err := r.read(0)
	if err != nil {
		return nil, err
	}
	at := r.next()
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, r.fail(at, "something follows the profile")
	}
	return n, nil
}

// next is where the next token begins.
func (r *reader) next() int {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[at]) >= 0 {
		at++
	}
	return at
}

func (r *reader) token() (json.Token, error) {
	at := r.next()
	t, err := r.dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, r.fail(len(r.data), "not JSON: it ends too early")
		}
		return nil, r.fail(at, "not JSON: %v", err)
	}
	return t, nil
}

func (r *reader) read(depth int) (*node, error) {
	n := &node{at: r.next()}
	if r.objects++; r.objects > MaxSize/8 {
		return nil, r.fail(n.at, "more values than a profile may have")
	}
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		n.value = t
		return n, nil
	}
	if depth == maxDepth {
		return nil, r.fail(n.at, "nested deeper than %d", maxDepth)
	}
	if delim == '[' {
		list := []*node{}
		for r.dec.More() {
			e, err := r.read(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		n.value = list
	} else {
		if n.value, err = r.members(depth); err != nil {
			return nil, err
		}
	}
	_, err = r.token() // the closing bracket
	return n, err
}

func (r *reader) members(depth int) ([]member, error) {
	list, seen := []member{}, map[string]bool{}
	for r.dec.More() {
		at := r.next()
		t, err := r.token()
		if err != nil {
			return nil, err
		}
		key, ok := t.(string)
		if !ok {
			return nil, r.fail(at, "a key that is no string")
		}
		if seen[key] {
			return nil, r.fail(at, "%q is there already", key)
		}
		seen[key] = true
		v, err := r.read(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, member{key, at, v})
	}
	return list, nil
}

// object gives an object's members to take, but not those that are null: to
// say null is to say nothing. take returns false for a key it does not know.
func (r *reader) object(n *node, what string, keys []string, take func(m member) error) error {
	list, ok := n.value.([]member)
	if !ok {
		return r.fail(n.at, "%s is %s, not an object", what, n.kind())
	}
	for _, m := range list {
		known := false
		for _, k := range keys {
			known = known || k == m.key
		}
		if !known {
			e := near(r.fail(m.at, "unknown key %q in %s", m.key, what), m.key, each(keys))
			if m.key == "ociVersion" || m.key == "linux" {
				e.Fix = "of a bundle's config.json give what stands there as linux.seccomp"
			}
			return e
		}
		if m.value == nil {
			continue
		}
		if err := take(m); err != nil {
			return err
		}
	}
	return nil
}

func each(list []string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, s := range list {
			if !yield(s) {
				return
			}
		}
	}
}

func (r *reader) list(m member) ([]*node, error) {
	list, ok := m.value.([]*node)
	if !ok {
		return nil, r.fail(m.node.at, "%s is %s, not a list", m.key, m.kind())
	}
	return list, nil
}

func (r *reader) text(n *node, what string) (string, error) {
	s, ok := n.value.(string)
	if !ok {
		return "", r.fail(n.at, "%s is %s, not a string", what, n.kind())
	}
	return s, nil
}

func (r *reader) texts(m member) ([]string, error) {
	list, err := r.list(m)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list {
		s, err := r.text(e, "an entry of "+m.key)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// number is a whole number from 0 to most.
func (r *reader) number(m member, most uint64) (uint64, error) {
	s, ok := m.value.(json.Number)
	if !ok {
		return 0, r.fail(m.node.at, "%s is %s, not a number", m.key, m.kind())
	}
	n, err := strconv.ParseUint(s.String(), 10, 64)
	if err != nil || n > most {
		return 0, r.fail(m.node.at, "%s %s is not a whole number from 0 to %d", m.key, s, most)
	}
	return n, nil
}

// kind names what a value is, for messages.
func (n *node) kind() string {
	switch v := n.value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return "the string " + strconv.Quote(v)
	case json.Number:
		return "the number " + v.String()
	case []*node:
		return "a list"
	}
	return "an object"
}
