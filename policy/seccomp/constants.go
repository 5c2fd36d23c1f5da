package seccomp

import (
	"cmp"
	"fmt"
	"slices"
)

// constant is a name from the kernel's headers with its value; oddConstant the
// value on one architecture, where that differs.
type constant struct {
	name  string
	value uint64
}

type oddConstant struct {
	name  string
	arch  Arch
	value uint64
}

func constantNames(yield func(string) bool) {
	for i := range constants {
		if !yield(constants[i].name) {
			return
		}
	}
}

// LookupConstant finds the value that a constant of the kernel's headers
// (CLONE_*, O_*, AF_*, SOCK_*, PROT_*, MAP_*, TIOC*, PR_*, ...) has on an
// architecture. An unknown name's error is a *NameError.
func LookupConstant(name string, a Arch) (uint64, error) {
	i, ok := slices.BinarySearchFunc(constants[:], name, func(c constant, name string) int {
		return cmp.Compare(c.name, name)
	})
	if !ok {
		return 0, unknown("constant", name, constantNames)
	}
	if _, ok := findOdd(absentConstants[:], name, a); ok {
		return 0, &absentError{name, a}
	}
	if j, ok := findOdd(oddConstants[:], name, a); ok {
		return oddConstants[j].value, nil
	}
	return constants[i].value, nil
}

// absentError says that an architecture lacks a constant that others have.
type absentError struct {
	name string
	arch Arch
}

func (e *absentError) Error() string {
	return fmt.Sprintf("constant %s does not exist on %s", e.name, e.arch)
}

func findOdd(list []oddConstant, name string, a Arch) (int, bool) {
	return slices.BinarySearchFunc(list, oddConstant{name: name, arch: a}, func(x, y oddConstant) int {
		return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.arch, y.arch))
	})
}

// ConstantNames lists the constants of a family that have the value on the
// architecture, such as AF_UNIX for "AF_" and 1.
func ConstantNames(prefix string, value uint64, a Arch) []string {
	var out []string
	for name := range constantNames {
		if len(name) > len(prefix) && name[:len(prefix)] == prefix {
			if v, err := LookupConstant(name, a); err == nil && v == value {
				out = append(out, name)
			}
		}
	}
	return out
}
