package host

import (
	"path"
	"strings"
)

// ends are how names begin and end that some patterns may mean, without regard to case.
// Nearly all files of a large project begin and end otherwise, and are compared with no
// pattern.
type ends struct {
	// first and last are single bytes, begins and stops two of them.
	first, last   [4]uint64
	begins, stops [16]uint64
	// inner are for patterns with a star at both ends.
	inner []string
	any   bool // there is a pattern that may mean each name
}

// add adds what a name must have to match the pattern.
func (e *ends) add(p *pattern) {
	begin, end := p.prefix, p.suffix
	switch {
	case p.inner != "" && p.suffix == "":
		e.inner = append(e.inner, lower(p.inner))
		return
	case p.general:
		if _, err := path.Match(p.text, ""); err != nil {
			e.any = true // it means every name
			return
		}
		begin = p.text[:strings.IndexAny(p.text, special)]
		end = p.text[strings.LastIndexAny(p.text, special)+1:]
	}
	switch {
	case len(begin) >= 2:
		set(e.begins[:], pair(begin[0], begin[1]))
	case len(end) >= 2:
		set(e.stops[:], pair(end[len(end)-2], end[len(end)-1]))
	case len(begin) == 1:
		set(e.first[:], small(begin[0]))
	case len(end) == 1:
		set(e.last[:], small(end[0]))
	default:
		e.any = true
	}
}

// may says whether one of the patterns may mean the name, which is not empty.
func (e *ends) may(name []byte) bool {
	n := len(name)
	if e.any || has(e.first[:], small(name[0])) || has(e.last[:], small(name[n-1])) {
		return true
	}
	if n >= 2 && (has(e.begins[:], pair(name[0], name[1])) || has(e.stops[:], pair(name[n-2], name[n-1]))) {
		return true
	}
	for _, text := range e.inner {
		for i := 0; i+len(text) <= n; i++ {
			if small(name[i]) == text[0] && same(name[i:i+len(text)], text, true) {
				return true
			}
		}
	}
	return false
}

// special are the bytes of a pattern that do not stand for themselves.
const special = `*?[]\`

// small is the letter's small form.
func small(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// pair is a number for two bytes, below 1024.
func pair(a, b byte) uint16 { return uint16(small(a))<<3&1023 ^ uint16(small(b)) }

func set[N byte | uint16](bits []uint64, n N)      { bits[n>>6] |= 1 << (n & 63) }
func has[N byte | uint16](bits []uint64, n N) bool { return bits[n>>6]&(1<<(n&63)) != 0 }
