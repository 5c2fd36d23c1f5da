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

// call is one system call: its number for each of arches, -1 where it has
// none; its argument letters (see args.txt) and first release.
type call struct {
	name  string
	nr    []int
	args  string
	since [2]int
}

// notCalls are names of x/sys that are not system calls of the kernel.
var notCalls = []string{"arch_specific_syscall", "syscall_mask"}

// armPrivate are the calls of arm beyond the table, __ARM_NR_*: x/sys leaves
// them out, the kernel passes them by the filter as any other.
var armPrivate = map[string]int{
	"breakpoint": 0xf0001, "cacheflush": 0xf0002, "usr26": 0xf0003,
	"usr32": 0xf0004, "set_tls": 0xf0005, "get_tls": 0xf0006,
}

func readCalls(unix, dir string) ([]*call, error) {
	by := map[string]*call{}
	get := func(name string) *call {
		c := by[name]
		if c == nil {
			c = &call{name: name, nr: slices.Repeat([]int{-1}, len(arches))}
			by[name] = c
		}
		return c
	}
	line := regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s+= (\d+)$`)
	for i, arch := range arches {
		if arch == "x32" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(unix, "zsysnum_linux_"+arch+".go"))
		if err != nil {
			return nil, err
		}
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			name := strings.ToLower(m[1])
			if slices.Contains(notCalls, name) {
				continue
			}
			nr, err := strconv.Atoi(m[2])
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", name, arch, err)
			}
			get(name).nr[i] = nr
		}
	}
	for name, nr := range armPrivate {
		get(name).nr[slices.Index(arches, "arm")] = nr
	}
	if err := addX32(by, dir); err != nil {
		return nil, err
	}
	if err := addArgs(by, dir); err != nil {
		return nil, err
	}
	if err := addSince(by, dir); err != nil {
		return nil, err
	}
	var calls []*call
	for _, c := range by {
		calls = append(calls, c)
	}
	sort.Slice(calls, func(i, j int) bool { return calls[i].name < calls[j].name })
	return calls, nil
}

// addX32 derives x32's numbers from amd64's; the kernel sets bit 30 in them.
func addX32(by map[string]*call, dir string) error {
	const bit = 0x40000000
	amd64, x32 := slices.Index(arches, "amd64"), slices.Index(arches, "x32")
	for _, c := range by {
		if c.nr[amd64] >= 0 {
			c.nr[x32] = c.nr[amd64] | bit
		}
	}
	ls, err := lines(filepath.Join(dir, "x32.txt"))
	if err != nil {
		return err
	}
	for _, l := range ls {
		name, value, _ := strings.Cut(l, " ")
		c := by[name]
		if c == nil {
			return fmt.Errorf("x32.txt: unknown call %q", name)
		}
		if value == "-" {
			c.nr[x32] = -1
			continue
		}
		nr, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("x32.txt: %s: %w", name, err)
		}
		c.nr[x32] = nr | bit
	}
	return nil
}

func addArgs(by map[string]*call, dir string) error {
	ls, err := lines(filepath.Join(dir, "args.txt"))
	if err != nil {
		return err
	}
	for _, l := range ls {
		name, args, _ := strings.Cut(l, " ")
		c := by[name]
		if c == nil {
			return fmt.Errorf("args.txt: unknown call %q", name)
		}
		if strings.Trim(args, "plih") != "" && args != "-" || len(args) > 6 {
			return fmt.Errorf("args.txt: %s: bad arguments %q", name, args)
		}
		c.args = args
	}
	return nil
}

func addSince(by map[string]*call, dir string) error {
	ls, err := lines(filepath.Join(dir, "since.txt"))
	if err != nil {
		return err
	}
	for _, l := range ls {
		name, version, _ := strings.Cut(l, " ")
		c := by[name]
		if c == nil {
			return fmt.Errorf("since.txt: unknown call %q", name)
		}
		// The third part of 2.6.x matters to nobody who runs this.
		if _, err := fmt.Sscanf(version, "%d.%d", &c.since[0], &c.since[1]); err != nil {
			return fmt.Errorf("since.txt: %s: %w", name, err)
		}
	}
	for _, c := range by {
		if c.since[0] == 0 {
			return fmt.Errorf("since.txt: no line for %q", c.name)
		}
	}
	return nil
}

func printCalls(calls []*call) string {
	var b strings.Builder
	b.WriteString("// table lists every system call, sorted by name; see entry.\nvar table = [...]entry{\n")
	for _, c := range calls {
		fmt.Fprintf(&b, "\t{%q, %q, %d<<8 | %d, [numArches]int32{", c.name, c.args, c.since[0], c.since[1])
		for i, nr := range c.nr {
			if i > 0 {
				b.WriteString(", ")
			}
			if nr > 0xffff {
				fmt.Fprintf(&b, "%#x", nr)
			} else {
				fmt.Fprintf(&b, "%d", nr)
			}
		}
		b.WriteString("}},\n")
	}
	b.WriteString("}\n")
	return b.String()
}
