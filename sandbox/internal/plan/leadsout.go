package plan

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/sandbox/internal/host"
)

// leadsOut refuses a descriptor by which the target would leave the sandbox, unless the
// caller hands it over on purpose.
func leadsOut(f host.Handed) error {
	unasked := f.FD <= 2 || f.Listen
	what, fix := "", "close it for sbx, or redirect it as in </dev/null; --keep-fd hands over a descriptor on purpose"
	switch {
	case f.Ring():
		what, fix = "it is an io_uring, by which the target would do what it likes with the files of the host",
			"close it for sbx"
	case unasked && (f.Mode == unix.S_IFDIR || f.Path):
		what = "it is open to a directory of the host, or by O_PATH, and leads out of the sandbox"
	case unasked && f.Acts():
		what = "it is no file or socket but of the kind " + text.Quote(f.Anonymous) + ", and may lead out of the sandbox"
	default:
		return nil
	}
	return &host.NeedError{
		Reason: host.LeadsOut, What: fmt.Sprintf("hand over descriptor %d: %s", f.FD, what), Fix: fix,
	}
}

// refuseMemory refuses memory that has a descriptor (memfd_create(2)) where the target
// could do more with it than the descriptor says: no mount and no Landlock rule holds it.
func (d *decisions) refuseMemory(h *host.Facts) error {
	for _, f := range h.Handed {
		what := ""
		switch {
		case !f.Memory:
		case !f.Write:
			what = "it is memory (a memfd) that is open for reading alone, and that the target could open again for writing"
		case d.shown().NothingWrittenRuns():
			what = "it is memory (a memfd), into which the target could write a program and run it, and the policy lets it " +
				"run none of its own making"
		}
		if what != "" {
			return &host.NeedError{
				Reason: host.LeadsOut, What: fmt.Sprintf("hand over descriptor %d: %s", f.FD, what),
				Fix: "seal it against writing (F_SEAL_WRITE), or hand over a pipe or a file",
			}
		}
	}
	return nil
}
