package policies

import (
	"embed"

	"sbx/policy/seccomp"
)

//go:embed filters/*/*.bpf
var filters embed.FS

// Filters gives the programs for a machine of architecture a, in the order of
// loading, if they were made ahead: that is, if an embedded policy's [seccomp]
// says the same as p, whatever else the policies say. Otherwise it gives nil,
// and the programs are to be compiled.
func Filters(p *seccomp.Policy, a seccomp.Arch) []seccomp.Program {
	key := p.Key()
	for i := range filterKeys {
		if filterKeys[i].key != key {
			continue
		}
		digest := ""
		switch a {
		case seccomp.AMD64:
			digest = filterKeys[i].amd64
		case seccomp.ARM64:
			digest = filterKeys[i].arm64
		default:
			return nil // sbx is built for these two
		}
		program, err := filters.ReadFile("filters/" + a.String() + "/" + digest + ".bpf")
		if err != nil { // the table and the files are made together
			panic(err)
		}
		return []seccomp.Program{program}
	}
	return nil
}
