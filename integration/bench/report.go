package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report writes docs/bench.md anew; what people add to it goes below its
// marker and stays.
func report(path string, results []outcome, networks string, b *runner) error {
	const marker = "<!-- what follows is written by hand and kept -->"
	kept := ""
	if old, err := os.ReadFile(path); err == nil {
		_, kept, _ = strings.Cut(string(old), marker)
	} else if !os.IsNotExist(err) {
		return err
	}
	version, err := b.output(b.sbx, "--version")
	if err != nil {
		return err
	}
	bwrap, err := b.output("bwrap", "--version")
	if err != nil {
		return err
	}
	var s strings.Builder
	s.WriteString("# What a launch costs, and a network by name\n\n" +
		"Written by `make bench`. Times are from fork to the end of a static program that does nothing, started by a user\n" +
		"without rights, or by root where that is said; the contenders take turns, so ratios hold where milliseconds do\n" +
		"not.\n\n")
	fmt.Fprintf(&s, "- machine: %s, %d CPUs, %s\n- kernel: %s\n- %s\n- %s\n- measured: %s\n", cpu(), runtime.NumCPU(),
		memory(), kernel(),
		strings.TrimSpace(version), strings.TrimSpace(bwrap), time.Now().UTC().Format("2006-01-02"))
	for _, o := range results {
		s.WriteString(o.table())
	}
	s.WriteString(networks)
	s.WriteString("\n" + marker + kept)
	if kept == "" {
		s.WriteString("\n")
	}
	return os.WriteFile(path, []byte(s.String()), 0o644)
}

func cpu() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH
}

func memory() string {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return "memory unknown"
	}
	gib := float64(info.Totalram) * float64(info.Unit) / (1 << 30)
	where := "bare metal or unknown"
	if out, err := exec.Command("systemd-detect-virt").Output(); err == nil {
		where = "virtual (" + strings.TrimSpace(string(out)) + ")"
	}
	return fmt.Sprintf("%.0f GiB, %s", gib, where)
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}
