package host

import "strings"

// named says whether a pattern means the name, or that of what it is a copy of:
// key.pem for KEY.PEM.bak. A pattern in small letters means a name in whatever case
// it is written, one with capital letters those alone.
func named(patterns []pattern, name string) bool {
	for len(patterns) > 0 && name != "" {
		small := lower(name)
		if matches(patterns, small) || small != name && matches(patterns, name) {
			return true
		}
		name = copied(name)
	}
	return false
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
// "" if it is none.
func copied(name string) string {
	if base, ok := strings.CutSuffix(name, "~"); ok {
		return base
	}
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 {
		return ""
	}
	switch end := lower(name[dot+1:]); end {
	case "bak", "backup", "old", "orig", "save", "saved", "copy", "tmp", "swp", "swo", "dpkg-old", "dpkg-dist",
		"rpmsave", "rpmnew":
		return name[:dot]
	default:
		if digits := strings.TrimPrefix(end, "~"); digits != "" && strings.Trim(digits, "0123456789") == "" {
			return name[:dot]
		}
	}
	return ""
}
