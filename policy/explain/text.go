package explain

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy/seccomp"
)

// Name is the call's name, or its number where it has none.
func (d Denial) Name() string {
	if s, ok := seccomp.SyscallByNumber(d.Arch, d.Number); ok {
		return s.Name()
	}
	return "system call " + strconv.FormatUint(uint64(d.Number), 10)
}

// Call is the call with its arguments, safe to print on a terminal. Secrets that strings
// may hold are left out.
func (d Denial) Call() string {
	params, known := Params(d.Name())
	if !known {
		params = make([]Param, 6)
		if s, ok := seccomp.SyscallByNumber(d.Arch, d.Number); ok {
			params = params[:s.Args()]
		}
		for i := range params {
			params[i].Kind = Hex
		}
	}
	var args []string
	for i, p := range params {
		if s, ok := d.argument(i, p); ok {
			args = append(args, s)
		}
	}
	return text.OneLine(d.Name() + "(" + strings.Join(args, ", ") + ")")
}

// argument is one argument in words, unless it is one that says nothing.
func (d Denial) argument(i int, p Param) (s string, ok bool) {
	v := d.Args[i]
	if !d.Arch.Wide() {
		v = uint64(uint32(v))
	}
	switch p.Kind {
	case Path, Text, Address:
		switch {
		case d.Text[i] != "":
			return short(d.Text[i]), true
		case v == 0:
			return "NULL", p.Kind != Address
		}
		return "...", true
	case Dir:
		return strconv.Itoa(int(int32(v))), int32(v) != atFDCWD && !strings.HasPrefix(d.nextPath(i), "/")
	case Signal:
		if name := unix.SignalName(unix.Signal(int32(v))); name != "" {
			return name, true
		}
		return strconv.Itoa(int(int32(v))), true
	case CloneArgs:
		return d.Text[i], d.Text[i] != ""
	case Number:
		return strconv.Itoa(int(int32(v))), true
	case Mode:
		return fmt.Sprintf("%#o", v&0xffff), true
	case Hex:
		// Of a call that is not known this may be an address, which says nothing and
		// tells where the target's memory is.
		if v > 1<<32-1 {
			return "...", true
		}
		if v < 10 {
			return strconv.FormatUint(v, 10), true
		}
		return fmt.Sprintf("%#x", v), true
	case Flags:
		return flags(p.Prefix, uint64(uint32(v)), d.Arch), true
	case Clone:
		const signal = 0xff
		return flags(p.Prefix, uint64(uint32(v))&^signal, d.Arch), true
	case Open:
		return openFlags(uint64(uint32(v)), d.Arch), true
	case Choice:
		if p.Prefix == "SOCK_" {
			const kind = 0xf
			s = constant(p.Prefix, v&kind, d.Arch)
			if rest := uint64(uint32(v)) &^ kind; rest != 0 {
				s += "|" + flags(p.Prefix, rest, d.Arch)
			}
			return s, true
		}
		return constant(p.Prefix, uint64(uint32(v)), d.Arch), true
	case Request:
		return request(uint64(uint32(v)), d.Arch), true
	}
	return "", false
}

// request is the name of a request of ioctl(2), or its number. Terminals, files, sockets and
// block devices have names here, and what drivers have of their own has not.
func request(v uint64, a seccomp.Arch) string {
	const least = 0x100 // what is less is an argument of some of them
	for _, prefix := range [...]string{"TC", "TIOC", "FIO", "FS_IOC_", "SIOC", "BLK"} {
		if names := seccomp.ConstantNames(prefix, v, a); v >= least && len(names) > 0 {
			return names[0]
		}
	}
	return fmt.Sprintf("%#x", v)
}

// Namespaces are the names of the flags of clone3(2) that make namespaces, or "".
func Namespaces(v uint64, a seccomp.Arch) string {
	const all = unix.CLONE_NEWTIME | unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	if v&all == 0 {
		return ""
	}
	return flags("CLONE_", v&all, a)
}

// atFDCWD is AT_FDCWD: a path is relative to the current directory.
const atFDCWD = -100

// nextPath is the path behind a descriptor of a directory.
func (d Denial) nextPath(i int) string {
	if i+1 < len(d.Text) {
		return d.Text[i+1]
	}
	return ""
}

// clocks are the clocks of clock_gettime(2) by their numbers, which other constants of that
// prefix have too.
var clocks = [...]string{
	"CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID", "CLOCK_MONOTONIC_RAW",
	"CLOCK_REALTIME_COARSE", "CLOCK_MONOTONIC_COARSE", "CLOCK_BOOTTIME", "CLOCK_REALTIME_ALARM", "CLOCK_BOOTTIME_ALARM",
	"CLOCK_SGI_CYCLE", "CLOCK_TAI",
}

// constant is the name of a value in a family of constants, or the value. Of several
// names it is the shortest, which is the one for the value itself and not for some part
// of it, and the last of these: AF_UNIX, not AF_FILE.
func constant(prefix string, v uint64, a seccomp.Arch) string {
	best := ""
	for _, name := range seccomp.ConstantNames(prefix, v, a) {
		if name == "MS_SYNC" || name == "MS_ASYNC" || name == "MS_INVALIDATE" {
			continue // msync's, not mount's
		}
		if best == "" || len(name) <= len(best) {
			best = name
		}
	}
	switch {
	case prefix == "CLOCK_" && v < uint64(len(clocks)):
		return clocks[v]
	case prefix == "AF_" && v == 16:
		return "AF_NETLINK" // not AF_ROUTE, which nobody says
	case best == "":
		return fmt.Sprintf("%#x", v)
	}
	return best
}

// flags are the names of the bits that are set.
func flags(prefix string, v uint64, a seccomp.Arch) string {
	if v == 0 {
		return "0"
	}
	var names []string
	for rest := v; rest != 0; rest &= rest - 1 {
		names = append(names, constant(prefix, 1<<bits.TrailingZeros64(rest), a))
	}
	return strings.Join(names, "|")
}

func openFlags(v uint64, a seccomp.Arch) string {
	const access = 3
	s := [...]string{"O_RDONLY", "O_WRONLY", "O_RDWR", "3"}[v&access]
	if rest := v &^ access; rest != 0 {
		s += "|" + flags("O_", rest, a)
	}
	return s
}

// Redact leaves out of a string what looks like a secret: what follows a word for one
// and "=" or ":", and the password of a URL.
func Redact(s string) string {
	const hidden = "***"
	lower := asciiLower(s)
	for _, word := range [...]string{
		"password", "passwd", "secret", "token", "apikey", "api_key", "api-key", "credential", "authorization", "bearer ",
	} {
		for from := 0; ; {
			i := strings.Index(lower[from:], word)
			if i < 0 {
				break
			}
			from += i + len(word)
			start := from
			if word != "bearer " {
				if from >= len(s) || s[from] != '=' && s[from] != ':' {
					continue
				}
				start++
			}
			end := start
			for end < len(s) && !strings.ContainsRune("&,; /\n", rune(s[end])) {
				end++
			}
			if end > start {
				s = s[:start] + hidden + s[end:]
				lower = asciiLower(s)
				from = start + len(hidden)
			}
		}
	}
	if scheme := strings.Index(s, "://"); scheme >= 0 {
		host := s[scheme+3:]
		if end := strings.IndexAny(host, "/?#"); end >= 0 {
			host = host[:end]
		}
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			if colon := strings.IndexByte(host[:at], ':'); colon >= 0 {
				s = s[:scheme+3+colon+1] + hidden + s[scheme+3+at:]
			}
		}
	}
	return s
}

// asciiLower is s with its letters from A to Z in lower case, of the same length.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// maxShown is how much of a string is shown.
const maxShown = 256

// short is a string of the program's, without secrets and not too long, safe to print.
func short(s string) string {
	s = Redact(s)
	if len(s) > maxShown {
		return text.Quote(s[:maxShown]) + "..."
	}
	return text.Quote(s)
}
