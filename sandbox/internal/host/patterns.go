package host

import (
	"path"
	"slices"
	"strings"
)

// pattern is a pattern of path.Match. Most have no more than one star, at one end, or one
// at both, maybe with a suffix. These are compared without path.Match, because there may be
// many names.
type pattern struct {
	// A name begins with prefix and ends with suffix, if the pattern is good. With inner it has
	// that before its suffix.
	text, prefix, suffix, inner string
	general, anyCase            bool
}

func newPattern(text string) pattern {
	p := pattern{text: text}
	var star bool
	p.prefix, p.suffix, star = strings.Cut(text, "*")
	if inner, suffix, two := strings.Cut(p.suffix, "*"); two && p.prefix == "" && inner != "" &&
		!strings.ContainsAny(inner+suffix, `*?[\`) {
		return pattern{text: text, inner: inner, suffix: suffix}
	}
	p.general = strings.ContainsAny(text, `?[\`) || strings.Contains(p.suffix, "*") ||
		star && p.prefix != "" && p.suffix != ""
	if p.general {
		p.prefix, p.suffix = text[:strings.IndexAny(text, special)], text[strings.LastIndexAny(text, special)+1:]
		if _, err := path.Match(text, ""); err != nil {
			p.prefix, p.suffix = "", ""
		}
	}
	return p
}

func (p *pattern) matches(name string) bool {
	switch {
	case !strings.HasPrefix(name, p.prefix) || !strings.HasSuffix(name, p.suffix):
		return false
	case p.inner != "":
		return strings.Contains(name[:len(name)-len(p.suffix)], p.inner)
	case p.general:
		ok, err := path.Match(p.text, name)
		return ok || err != nil // a bad pattern hides too many files rather than too few
	case len(p.prefix)+len(p.suffix) == len(p.text):
		return name == p.text
	}
	return true
}

// names are the patterns of one list, for names in any case and those of copies. They
// are sorted by the byte that a name must begin or end with: few are compared. All of
// that is in two slices, as it is made at each launch.
type names struct {
	patterns []pattern
	links    []chained
	// first and last are where the patterns begin, in links, that a name with that byte
	// at its beginning or end may mean; others the rest. 0: there are none.
	first, last [256]int32
	others      int32
	none        bool
}

// chained is a pattern's number, where the next one is in links, and of the first one
// where the last one is.
type chained struct{ pattern, next, last int32 }

func newNames(list ...string) *names {
	n := &names{none: true}
	n.grow(len(list))
	for _, s := range list {
		n.add(s)
	}
	return n
}

// grow makes room for so many patterns.
func (n *names) grow(room int) *names {
	n.patterns = slices.Grow(n.patterns, room)
	n.links = slices.Grow(n.links, 1+2*room) // most are for two letters, small and capital
	return n
}

func (n *names) add(text string) {
	p := newPattern(text)
	p.anyCase = lower(text) == text
	n.none = false
	n.patterns = append(n.patterns, p)
	mark := func(table *[256]int32, c byte) {
		n.chain(&table[c])
		if p.anyCase && c >= 'a' && c <= 'z' {
			n.chain(&table[c-'a'+'A'])
		}
	}
	switch {
	case p.general || len(p.prefix)+len(p.suffix) == 0: // p.inner too
		n.chain(&n.others)
	case p.prefix != "":
		mark(&n.first, p.prefix[0])
	default:
		mark(&n.last, p.suffix[len(p.suffix)-1])
	}
}

// chain puts the last pattern at the end of those that begin there.
func (n *names) chain(begin *int32) {
	if len(n.links) == 0 {
		n.links = append(n.links, chained{}) // no pattern has number 0
	}
	at := int32(len(n.links))
	n.links = append(n.links, chained{pattern: int32(len(n.patterns) - 1), last: at})
	if *begin == 0 {
		*begin = at
		return
	}
	first := &n.links[*begin]
	n.links[first.last].next = at
	first.last = at
}

// match is the pattern that means the name, or that of what it is a copy of: key.pem for
// KEY.PEM.bak. A pattern in small letters means a name in whatever case it is written,
// one with capital letters those alone. It is "" if there is none.
func (n *names) match(name []byte) string {
	for !n.none && len(name) > 0 {
		for _, at := range [...]int32{n.first[name[0]], n.last[name[len(name)-1]], n.others} {
			for ; at != 0; at = n.links[at].next {
				if p := &n.patterns[n.links[at].pattern]; p.means(name) {
					return p.text
				}
			}
		}
		name = copied(name)
	}
	return ""
}

// means is matches, without regard to case where the pattern has none.
func (p *pattern) means(name []byte) bool {
	if p.general {
		s := string(name)
		return p.matches(s) || p.anyCase && p.matches(lower(s))
	}
	if p.inner != "" {
		end := len(name) - len(p.suffix)
		if end < 0 || !same(name[end:], p.suffix, p.anyCase) {
			return false
		}
		name = name[:end]
		for i := 0; i+len(p.inner) <= len(name); i++ {
			if same(name[i:i+len(p.inner)], p.inner, p.anyCase) {
				return true
			}
		}
		return false
	}
	rest := len(name) - len(p.prefix) - len(p.suffix)
	if rest < 0 || rest > 0 && len(p.prefix)+len(p.suffix) == len(p.text) {
		return false
	}
	return same(name[:len(p.prefix)], p.prefix, p.anyCase) && same(name[len(name)-len(p.suffix):], p.suffix, p.anyCase)
}

// same compares a part of a name.
func same(name []byte, text string, anyCase bool) bool {
	for i, c := range name {
		if anyCase && c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != text[i] {
			return false
		}
	}
	return true
}

// lower is the name with ASCII's capital letters small. Others stay, as a name need
// not be UTF-8.
func lower(name string) string {
	for i := range len(name) {
		if name[i] >= 'A' && name[i] <= 'Z' {
			b := []byte(name)
			for i, c := range b {
				if c >= 'A' && c <= 'Z' {
					b[i] = c - 'A' + 'a'
				}
			}
			return string(b)
		}
	}
	return name
}

// copied is the name of the file that editors, package managers and people made
// this one a copy of, going by what they append: key.pem~, key.pem.bak, key.pem.2.
// It is empty if it is none.
func copied(name []byte) []byte {
	last := name[len(name)-1]
	if last == '~' {
		return name[:len(name)-1]
	}
	if last == '#' && name[0] == '#' && len(name) > 2 {
		return name[1 : len(name)-1]
	}
	if last < '0' || last > 'z' {
		return nil
	}
	const longest = len("dpkg-dist")
	dot := len(name) - 1
	for dot > 0 && name[dot] != '.' {
		dot--
	}
	if dot == 0 || dot == len(name)-1 {
		return nil
	}
	end := name[dot+1:]
	if last <= '9' {
		if end[0] == '~' {
			end = end[1:]
		}
		for _, c := range end {
			if c < '0' || c > '9' {
				return nil
			}
		}
		return name[:dot]
	}
	if len(end) > longest {
		return nil
	}
	switch lower(string(end)) {
	case "bak", "backup", "old", "orig", "save", "saved", "copy", "tmp", "swp", "swo", "dpkg-old", "dpkg-dist",
		"rpmsave", "rpmnew":
		return name[:dot]
	}
	return nil
}
