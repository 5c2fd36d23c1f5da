package oci

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/compile"
)

// FuzzImport: what is accepted is answered as the reference answers it; all
// else is a *policy.Error.
func FuzzImport(f *testing.F) {
	for seed := range uint64(20) {
		f.Add([]byte(randomProfile(rand.New(rand.NewPCG(seed, 0)))), byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte, target byte) { importAny(t, data, target) })
}

// FuzzProfile is FuzzImport for profiles that are right as JSON and mostly
// understood.
func FuzzProfile(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, x, y uint64) {
		importAny(t, []byte(randomProfile(rand.New(rand.NewPCG(x, y)))), byte(y))
	})
}

// TestRandom is FuzzProfile's first few hundred.
func TestRandom(t *testing.T) {
	accepted := 0
	for seed := range uint64(300) {
		if importAny(t, []byte(randomProfile(rand.New(rand.NewPCG(seed, 7)))), byte(seed)) {
			accepted++
		}
	}
	if accepted < 100 {
		t.Errorf("of 300 profiles only %d were accepted", accepted)
	}
}

func importAny(t *testing.T, data []byte, target byte) bool {
	t.Helper()
	profile, err := Parse("p", data)
	if err == nil {
		var p *seccomp.Policy
		to := targets[int(target)%len(targets)]
		if p, _, err = profile.Policy(to); err == nil {
			if !bytes.Contains(data, []byte("rrno\"")) { // Podman's errno by name, which Docker does not read
				check(t, data, to, p, 100)
			}
			if _, err := compile.Compile(p, to.Arch, nil); err != nil && !strings.Contains(err.Error(), "instructions") {
				t.Fatalf("%v\n%s", err, data)
			}
			return true
		}
	}
	if _, ok := err.(*policy.Error); !ok { // the package's own
		t.Fatalf("error %T: %v", err, err)
	}
	return false
}

// randomProfile writes a profile of what profiles are made of.
func randomProfile(r *rand.Rand) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	action := func(key, ret string) string {
		a := pick("ALLOW", "ALLOW", "ERRNO", "ERRNO", "KILL", "KILL_PROCESS", "TRAP", "LOG", "KILL_THREAD")
		s := fmt.Sprintf("%q: %q", key, "SCMP_ACT_"+a)
		if a == "ERRNO" && r.IntN(2) == 0 {
			s += fmt.Sprintf(", %q: %s", ret, pick("1", "13", "38", "4095"))
		}
		return s
	}
	value := func() uint64 {
		v := []uint64{
			0, 1, 2, 3, 7, 16, 40, 255, 0x5412, 0xffff, 0x10000, 1 << 31, 0x7e020000, 1<<32 - 1, 1 << 32, 1<<32 | 40,
			1 << 63, 1<<64 - 1,
		}
		return v[r.IntN(len(v))]
	}
	rule := func() string {
		// Not many calls, so that rules meet.
		names := []string{"read", "openat", "socket", "ioctl", "clone", "clone3", "unshare", "setns", "mmap",
			"personality", "prctl",
			"kill", "fcntl", "chmod", "openat2", "mount", "umount2", "io_uring_setup", "mseal", "mmap2", "chown",
			"cacheflush", "sysmips"}
		list := `"` + pick(names...) + `"`
		for range r.IntN(3) {
			list += `, "` + pick(names...) + `"`
		}
		s := fmt.Sprintf(`{"names": [%s], %s`, list, action("action", "errnoRet"))
		if r.IntN(3) > 0 {
			var args []string
			for range r.IntN(4) {
				op, two := operators()[r.IntN(7)], uint64(0)
				if op == maskedEqual {
					two = value()
				}
				args = append(args, fmt.Sprintf(`{"index": %d, "value": %d, "valueTwo": %d, "op": %q}`, r.IntN(2),
					value(), two, op))
			}
			s += `, "args": [` + strings.Join(args, ", ") + `]`
		}
		for _, key := range []string{"includes", "excludes"} {
			if r.IntN(6) == 0 {
				s += fmt.Sprintf(`, %q: {%s}`, key, pick(`"caps": ["CAP_SYS_ADMIN"]`, `"caps": ["CAP_BPF", "CAP_SYSLOG"]`,
					`"arches": ["amd64", "x32"]`, `"arches": ["arm64"], "minKernel": "5.3"`, `"minKernel": "4.8"`))
			}
		}
		return s + "}"
	}
	var rules []string
	for range r.IntN(8) {
		rules = append(rules, rule())
	}
	s := "{" + action("defaultAction", "defaultErrnoRet")
	s += pick("", `, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]`,
		`, "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_ARM"]`,
		`, "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}, `+
			`{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}]`)
	return s + `, "syscalls": [` + strings.Join(rules, ",\n") + "]}"
}
