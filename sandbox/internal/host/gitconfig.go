package host

import "strings"

// setting is one line of a git configuration: [Section "Sub"] Key = Value. The
// section and the key are in lower case.
type setting struct {
	Section, Sub, Key, Value string
}

// parseGitConfig reads a file as git-config(1) describes it. What is no line of
// one is passed over, with the rest of that line: whoever wrote it, git itself
// takes nothing else from the file either.
func parseGitConfig(text string) (list []setting) {
	var at setting
	p := configText{text}
	for p.rest != "" {
		c := p.rest[0]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v':
			p.rest = p.rest[1:]
		case c == '#' || c == ';':
			p.skipLine()
		case c == '[':
			p.rest = p.rest[1:]
			at.Section, at.Sub = p.header()
		case letter(c):
			at.Key = strings.ToLower(p.word())
			at.Value = p.value()
			list = append(list, at)
		default:
			if p.rest = strings.TrimPrefix(p.rest, "\ufeff"); p.rest != "" && p.rest[0] == c {
				p.skipLine()
			}
		}
	}
	return list
}

// configText is what is left of a configuration.
type configText struct{ rest string }

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func (p *configText) skipLine() {
	_, p.rest, _ = strings.Cut(p.rest, "\n")
}

// word takes the name of a section or a key.
func (p *configText) word() string {
	i := 0
	for i < len(p.rest) && (letter(p.rest[i]) || p.rest[i] >= '0' && p.rest[i] <= '9' || p.rest[i] == '-' ||
		p.rest[i] == '.' || p.rest[i] == '_') {
		i++
	}
	w := p.rest[:i]
	p.rest = p.rest[i:]
	return w
}

// header takes a section's name behind the "[", to the "]".
func (p *configText) header() (section, sub string) {
	p.rest = strings.TrimLeft(p.rest, " \t")
	section = strings.ToLower(p.word())
	section, sub, _ = strings.Cut(section, ".")
	p.rest = strings.TrimLeft(p.rest, " \t")
	if strings.HasPrefix(p.rest, `"`) {
		var b strings.Builder
		i := 1
		for ; i < len(p.rest) && p.rest[i] != '"' && p.rest[i] != '\n'; i++ {
			if p.rest[i] == '\\' && i+1 < len(p.rest) {
				i++
			}
			b.WriteByte(p.rest[i])
		}
		sub, p.rest = b.String(), p.rest[min(i+1, len(p.rest)):]
	}
	p.rest = strings.TrimPrefix(strings.TrimLeft(p.rest, " \t"), "]")
	return section, sub
}

// value takes what stands behind a key: nothing, or "=" and the value, with its
// quotes and escapes resolved, over several lines where they end in "\".
func (p *configText) value() string {
	p.rest = strings.TrimLeft(p.rest, " \t")
	if !strings.HasPrefix(p.rest, "=") {
		p.skipLine()
		return ""
	}
	p.rest = strings.TrimLeft(p.rest[1:], " \t")
	var b strings.Builder
	quoted := false
	for i := 0; ; i++ {
		if i >= len(p.rest) {
			p.rest = ""
			break
		}
		c := p.rest[i]
		if c == '\n' || !quoted && (c == '#' || c == ';') {
			p.rest = p.rest[i:]
			p.skipLine()
			break
		}
		switch {
		case c == '"':
			quoted = !quoted
		case c != '\\' || i+1 == len(p.rest):
			b.WriteByte(c)
		default:
			i++
			switch p.rest[i] {
			case '\n':
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'b':
				b.WriteByte('\b')
			default:
				b.WriteByte(p.rest[i])
			}
		}
	}
	return strings.TrimRight(b.String(), " \t\r")
}
