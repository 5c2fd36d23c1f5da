package policies

import (
	"embed"

	"sbx/policy/seccomp"
)

//go:generate go run ./filters/gen

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
		program, err := filters.ReadFile("filters/" + a.String() + "/" + filterKeys[i].name + ".bpf")
		if err != nil {
			return nil // no filters for that architecture
		}
		return []seccomp.Program{program}
	}
	return nil
}
