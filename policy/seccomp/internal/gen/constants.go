package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// families are the prefixes of the constants that say something about an
// argument of a system call.
var families = strings.Fields(`ADDR AF ARCH AT CLOCK CLONE EFD EPOLL F FALLOC FADV FD FUTEX GRND IPC
	IPPROTO ITIMER KEYCTL KEXEC LOCK MADV MAP MCL MFD MMAP MNT MODULE MOUNT MOVE MPOL MREMAP MS MSG
	NETLINK O P PER PIDFD PR PRIO PROT PTRACE RENAME RLIMIT RUSAGE RWF S SCHED SECCOMP SEEK SFD SHM
	SHUT SO SOCK SOL SPLICE STATX SYNC TCP TFD`)

// prefixes do the same for names that have no underscore there.
var prefixes = []string{"TIOC", "SIOC", "FIO", "TCGET", "TCSET", "TCFLSH", "TCSBRK", "TCXONC", "SIG",
	"BLK", "FS_IOC_"}

// constant is a name with its value for each of arches, where it has one.
type constant struct {
	name  string
	value []uint64
	has   []bool
}

func wanted(name string) bool {
	family, _, _ := strings.Cut(name, "_")
	return slices.Contains(families, family) ||
		slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

func readConstants(unix, dir string) ([]*constant, error) {
	by := map[string]*constant{}
	set := func(name string, arch int, v uint64) {
		c := by[name]
		if c == nil {
			c = &constant{name: name, value: make([]uint64, len(arches)), has: make([]bool, len(arches))}
			by[name] = c
		}
		c.value[arch], c.has[arch] = v, true
	}
	line := regexp.MustCompile(`(?m)^\s+([A-Z][A-Z0-9_]+)\s+= (?:syscall\.Signal\()?(-?(?:0x[0-9a-fA-F]+|\d+))\)?$`)
	for i, arch := range arches {
		if arch == "x32" {
			arch = "amd64"
		}
		for _, file := range []string{
			"zerrors_linux.go", "ztypes_linux.go", "zerrors_linux_" + arch + ".go", "ztypes_linux_" + arch + ".go",
		} {
			text, err := os.ReadFile(filepath.Join(unix, file))
			if err != nil {
				return nil, err
			}
			for _, m := range line.FindAllStringSubmatch(string(text), -1) {
				if !wanted(m[1]) {
					continue
				}
				v, err := strconv.ParseUint(strings.TrimPrefix(m[2], "-"), 0, 64)
				if err != nil {
					return nil, fmt.Errorf("%s in %s: %w", m[1], file, err)
				}
				if strings.HasPrefix(m[2], "-") {
					v = -v
				}
				set(m[1], i, v)
			}
		}
	}
	ls, err := lines(filepath.Join(dir, "constants.txt"))
	if err != nil {
		return nil, err
	}
	for _, l := range ls {
		name, value, _ := strings.Cut(l, " ")
		v, err := strconv.ParseUint(value, 0, 64)
		if err != nil {
			return nil, fmt.Errorf("constants.txt: %s: %w", name, err)
		}
		for i := range arches {
			if by[name] == nil || !by[name].has[i] {
				set(name, i, v)
			}
		}
	}
	var out []*constant
	for _, c := range by {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out, nil
}

// printConstants writes amd64's values, and those that differ elsewhere; a
// constant that an architecture has not is in absent.
func printConstants(consts []*constant) string {
	var all, odd, absent strings.Builder
	for _, c := range consts {
		first := slices.Index(c.has, true)
		fmt.Fprintf(&all, "\t{%q, %#x},\n", c.name, c.value[first])
		for i := range arches {
			switch {
			case !c.has[i]:
				fmt.Fprintf(&absent, "\t{%q, %d, 0},\n", c.name, i)
			case c.value[i] != c.value[first]:
				fmt.Fprintf(&odd, "\t{%q, %d, %#x},\n", c.name, i, c.value[i])
			}
		}
	}
	return "// constants lists names and the value most architectures give them, sorted.\nvar constants = " +
		"[...]constant{\n" + all.String() +
		"}\n\n// oddConstants lists the values that differ, sorted by name.\nvar oddConstants = [...]oddConstant{\n" +
		odd.String() +
		"}\n\n// absentConstants lists what an architecture has not, sorted by name.\nvar absentConstants = " +
		"[...]oddConstant{\n" + absent.String() + "}\n\n"
}

type errno struct {
	name  string
	value int
}

func readErrnos(unix string) ([]errno, error) {
	line := regexp.MustCompile(`(?m)^\s+(E[A-Z0-9]+)\s+= syscall\.Errno\((0x[0-9a-f]+)\)$`)
	var out []errno
	// The four architectures that are compiled for share the generic errnos.
	for _, file := range []string{"zerrors_linux.go", "zerrors_linux_amd64.go"} {
		text, err := os.ReadFile(filepath.Join(unix, file))
		if err != nil {
			return nil, err
		}
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			v, err := strconv.ParseInt(m[2], 0, 32)
			if err != nil {
				return nil, fmt.Errorf("%s in %s: %w", m[1], file, err)
			}
			out = append(out, errno{m[1], int(v)})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out, nil
}

func printErrnos(errnos []errno) string {
	var b strings.Builder
	b.WriteString("// errnos lists the error numbers, sorted by name.\nvar errnos = [...]errno{\n")
	for _, e := range errnos {
		fmt.Fprintf(&b, "\t{%q, %d},\n", e.name, e.value)
	}
	b.WriteString("}\n")
	return b.String()
}
