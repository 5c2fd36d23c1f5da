// Package capability has the names of capabilities for those who read and
// write them as text: policies, container profiles, units. See
// capabilities(7).
package capability

import (
	"slices"
	"strings"
)

// Names are those of Linux 6.18 without "cap_", in the order of their numbers.
// The table is made together with that of package caps (go generate ./caps):
// policies know nothing of sets and steps, and caps nothing of policies, so
// neither imports the other.
func Names() []string { return slices.Clone(names[:]) }

// Upper are the same names as container runtimes and systemd have them:
// CAP_CHOWN, ...
func Upper() []string {
	names := Names()
	for i, n := range names {
		names[i] = "CAP_" + strings.ToUpper(n)
	}
	return names
}
