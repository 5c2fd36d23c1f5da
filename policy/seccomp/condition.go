package seccomp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Condition is what one string of Rule.When says: terms joined by "&&", all
// of which must hold.
//
//	arg0 == AF_UNIX
//	arg1 & 0xff != 1 && arg2 <= 4096
//	arg0 in { 0, PER_LINUX32, 10..20 }
//	arg0 not in {AF_INET, AF_INET6}
//	arg2:64 == 0x100000000
//	arg1 & (O_WRONLY|O_RDWR) == 0
//
// Values are numbers (decimal, 0x, 0o or 0b; "-1" means all bits set) or names
// of constants, joined by "|". Comparisons are unsigned. An argument is as
// wide as the kernel reads it: the low 32 bits of an int, the low 16 of a
// mode_t, else all 64; ":32" and ":64" say otherwise. Where arguments are 32
// bits wide, as on 386, no comparison is wider.
type Condition struct {
	terms []term
	text  string
}

// term is one comparison: argument, width (0: by the call's prototype), mask
// (nil: none) and what the argument must, or with not must not, be among.
type term struct {
	arg, width int
	mask       *value
	op         string
	set        []span
}

// span is the values from lo to hi, both included; hi is nil for one value.
type span struct{ lo, hi *value }

// value is a number with its sign, or constants joined by "|".
type value struct {
	n     uint64
	neg   bool
	names []string
}

// String is the condition as it was written.
func (c *Condition) String() string { return c.text }

// ParseCondition reads one condition. An error names what it cannot read; an
// unknown constant's is a *NameError.
func ParseCondition(s string) (*Condition, error) {
	c := &Condition{text: s}
	for part := range strings.SplitSeq(s, "&&") {
		p := &parser{rest: part}
		t, err := p.term()
		if err == nil && strings.TrimSpace(p.rest) != "" {
			err = fmt.Errorf("%q follows a complete comparison", strings.TrimSpace(p.rest))
		}
		if err != nil {
			return nil, fmt.Errorf("condition %q: %w", s, err)
		}
		c.terms = append(c.terms, t)
	}
	return c, nil
}

// parser reads from the start of rest.
type parser struct{ rest string }

// accept takes token if it comes next.
func (p *parser) accept(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t")
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok && isWord(token[len(token)-1]) && rest != "" && isWord(rest[0]) {
		return false
	}
	if ok {
		p.rest = rest
	}
	return ok
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// word takes letters, digits and underscores.
func (p *parser) word() string {
	p.rest = strings.TrimLeft(p.rest, " \t")
	n := 0
	for n < len(p.rest) && isWord(p.rest[n]) {
		n++
	}
	w := p.rest[:n]
	p.rest = p.rest[n:]
	return w
}

// next shows the start of what is left, for messages.
func (p *parser) next() string {
	if s := strings.TrimSpace(p.rest); s != "" {
		return strconv.Quote(s)
	}
	return "the end"
}

func (p *parser) term() (t term, err error) {
	w := p.word()
	n, ok := strings.CutPrefix(w, "arg")
	if !ok || len(n) != 1 || n[0] < '0' || n[0] > '5' {
		return t, fmt.Errorf("want an argument, arg0 to arg5, not %q", w+p.rest)
	}
	t.arg = int(n[0] - '0')
	if p.accept(":") {
		switch w := p.word(); w {
		case "32", "64":
			t.width, _ = strconv.Atoi(w)
		default:
			return t, fmt.Errorf("width %q is neither 32 nor 64", w)
		}
	}
	if p.accept("&") {
		if t.mask, err = p.value(); err != nil {
			return t, err
		}
	}
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">", "in", "not"} {
		if p.accept(op) {
			t.op = op
			break
		}
	}
	switch t.op {
	case "":
		return t, fmt.Errorf("want ==, !=, <, <=, >, >=, in or not in, not %s", p.next())
	case "not":
		if !p.accept("in") {
			return t, fmt.Errorf("want in after not, not %s", p.next())
		}
		fallthrough
	case "in":
		t.set, err = p.set()
	default:
		var v *value
		v, err = p.value()
		t.set = []span{{lo: v}}
	}
	return t, err
}

// set reads "{ value, value..value, ... }".
func (p *parser) set() ([]span, error) {
	if !p.accept("{") {
		return nil, fmt.Errorf("want a set in braces, not %s", p.next())
	}
	var set []span
	for {
		lo, err := p.value()
		if err != nil {
			return nil, err
		}
		s := span{lo: lo}
		if p.accept("..") {
			if s.hi, err = p.value(); err != nil {
				return nil, err
			}
		}
		set = append(set, s)
		if p.accept("}") {
			return set, nil
		}
		if !p.accept(",") {
			return nil, fmt.Errorf("want a comma or closing brace, not %s", p.next())
		}
	}
}

// value reads a number, or constants and numbers joined by "|", in
// parentheses or not.
func (p *parser) value() (*value, error) {
	if p.accept("(") {
		v, err := p.value()
		if err == nil && !p.accept(")") {
			err = fmt.Errorf("want a closing parenthesis, not %s", p.next())
		}
		return v, err
	}
	v := &value{}
	for count := 1; ; count++ {
		minus := p.accept("-")
		w := p.word()
		switch {
		case w == "":
			return nil, fmt.Errorf("want a value, not %s", p.next())
		case w[0] >= '0' && w[0] <= '9':
			n, err := number(w)
			if err != nil {
				return nil, err
			}
			if minus {
				if n == 0 || n > 1<<31 {
					return nil, fmt.Errorf("number -%s is out of range", w)
				}
				n, v.neg = -n, true
			}
			if v.neg && count > 1 {
				return nil, errors.New("a negative number cannot be joined to others")
			}
			v.n |= n
		case minus:
			return nil, fmt.Errorf("constant %s cannot be negated", w)
		default:
			if _, err := LookupConstant(w, AMD64); errors.As(err, new(*NameError)) {
				return nil, err
			}
			v.names = append(v.names, w)
		}
		if !p.accept("|") {
			break
		}
		if v.neg {
			return nil, errors.New("a negative number cannot be joined to others")
		}
	}
	return v, nil
}

// number reads an unsigned number; one that begins with 0 is no octal unless
// it says so, because to some readers it would be.
func number(w string) (uint64, error) {
	if len(w) > 1 && w[0] == '0' && w[1] >= '0' && w[1] <= '9' {
		return 0, fmt.Errorf("number %q begins with 0: write 0o%s if it is octal", w, strings.TrimLeft(w, "0"))
	}
	n, err := strconv.ParseUint(w, 0, 64)
	if err != nil || strings.Contains(w, "_") {
		return 0, fmt.Errorf("%q is not a number of at most 64 bits", w)
	}
	return n, nil
}

// resolve gives the value on an architecture, cut to a width if it is a
// negative number.
func (v *value) resolve(a Arch, width int) (uint64, error) {
	n := v.n
	for _, name := range v.names {
		c, err := LookupConstant(name, a)
		if err != nil {
			return 0, err
		}
		if int64(c) < 0 { // AT_FDCWD and its like are negative numbers
			c &= ones(width)
		}
		n |= c
	}
	if v.neg {
		n &= ones(width)
	}
	return n, nil
}

// ones is a number of width bits, all set.
func ones(width int) uint64 { return ^uint64(0) >> (64 - width) }

// ParseValue reads a value as conditions have them: a number, or constants
// joined by "|", which may differ between architectures.
func ParseValue(s string, a Arch) (uint64, error) {
	p := &parser{rest: s}
	v, err := p.value()
	if err == nil && strings.TrimSpace(p.rest) != "" {
		err = fmt.Errorf("%q follows a complete value", strings.TrimSpace(p.rest))
	}
	if err != nil {
		return 0, fmt.Errorf("value %q: %w", s, err)
	}
	return v.resolve(a, 64)
}
