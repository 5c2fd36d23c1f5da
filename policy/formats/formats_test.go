package formats

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"sbx/policy"
	"sbx/policy/seccomp"
)

func resolved(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("/etc/some/own.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = policy.Resolve(p, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

const full = `version = 1
[namespaces]
net = "host"
ipc = "/run/ipc"
[files]
read = ["/usr"]
tmpfs = ["/a", "/b", "/c", "/d", "/e", "/f", "/g"]
[process]
capabilities = ["chown", "?kill"]
landlock = "require"
[limits]
processes = 5
memory = "1G"
time = "2m"
[seccomp]
allow = ["@default"]
log = true
[expect]
`

// TestLosses lists all that a policy can say and no profile can.
func TestLosses(t *testing.T) {
	p := resolved(t, full)
	for format, want := range map[string][]string{
		"docker": {
			"namespaces.net: the host's; give docker run --network=host",
			`namespaces.ipc: "/run/ipc"`,
			"process.capabilities: kept are chown, kill; give docker run --cap-drop=ALL --cap-add=CHOWN --cap-add=KILL",
			"process: no new privileges; give docker run --security-opt=no-new-privileges",
			"files.read: /usr",
			"files.tmpfs: /a, /b, /c, /d, /e and 2 more",
			"process.landlock: required",
			"limits.processes: 5; give docker run --pids-limit=5",
			"limits.memory: 1G; give docker run --memory=1g",
			"limits.time: 2m",
		},
		"bwrap": {
			"seccomp.log: SECCOMP_FILTER_FLAG_LOG belongs to loading, not to the program",
			"namespaces.pid: a new one; give bwrap --unshare-pid",
			`namespaces.ipc: "/run/ipc"`,
			"namespaces.uts: a new one; give bwrap --unshare-uts",
			"namespaces.cgroup: a new one; give bwrap --unshare-cgroup",
			"process.capabilities: kept are chown, kill; give bwrap --cap-drop ALL --cap-add CAP_CHOWN --cap-add CAP_KILL",
			"files.read: /usr",
			"files.tmpfs: /a, /b, /c, /d, /e and 2 more",
			"process.landlock: required",
			"limits.processes: 5",
			"limits.memory: 1G",
			"limits.time: 2m",
		},
	} {
		_, losses, err := Export(p, format, seccomp.AMD64)
		slices.Sort(losses)
		slices.Sort(want)
		if got := strings.Join(losses, "\n"); err != nil || got != strings.Join(want, "\n") {
			t.Errorf("%s: %v\n%s\n--- want\n%s", format, err, got, strings.Join(want, "\n"))
		}
	}
}

// TestPrograms: the bytes are a program, for the machine that was asked for.
func TestPrograms(t *testing.T) {
	p := resolved(t, full)
	for _, a := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
		files, _, err := Export(p, "bpf", a)
		if err != nil || len(files) != 1 || len(files[0].Data)%8 != 0 {
			t.Fatal(files, err)
		}
		var raw []bpf.RawInstruction
		names := false
		for i := 0; i < len(files[0].Data); i += 8 {
			b := files[0].Data[i:]
			raw = append(raw, bpf.RawInstruction{
				Op: binary.LittleEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.LittleEndian.Uint32(b[4:]),
			})
			names = names || raw[len(raw)-1].K == a.Audit()
		}
		if _, whole := bpf.Disassemble(raw); !whole || !names {
			t.Errorf("%s: no program of it", a)
		}
	}
}

// TestKubernetes: the context is what the policy says of it, whatever the
// policy is called.
func TestKubernetes(t *testing.T) {
	p := resolved(t, full)
	p.Name = "/tmp/odd name\n- x: y.toml"
	files, _, err := Export(p, "kubernetes", seccomp.AMD64)
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	want := `# Policy odd-name---x--y. The profile belongs on each node, as ` +
		`/var/lib/kubelet/seccomp/sbx/odd-name---x--y.json.
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  capabilities:
    drop: ["ALL"]
    add:
    - CHOWN
    - KILL
  readOnlyRootFilesystem: true
  seccompProfile:
    type: Localhost
    localhostProfile: sbx/odd-name---x--y.json
`
	if got := string(files[0].Data); got != want || files[1].Name != "sbx/odd-name---x--y.json" {
		t.Errorf("%s\n%s", files[1].Name, got)
	}
}

func TestUnknownFormat(t *testing.T) {
	if _, _, err := Export(resolved(t, full), "flatpak", seccomp.AMD64); err == nil {
		t.Error("accepted")
	}
}
