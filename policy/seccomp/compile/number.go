package compile

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

// calls makes the part that decides about the calls of one architecture; the
// call's number is loaded when it starts.
func (b *builder) calls(a *seccomp.Answers) (*node, error) {
	// Each outcome gets a mark; libseccomp is asked for the mark of a number.
	var outcomes []*node
	var count []int
	marks := make([]uint16, len(a.Calls))
	most := 0
	for i, c := range a.Calls {
		n := b.clauses(c.Clauses)
		m := slices.Index(outcomes, n)
		if m < 0 {
			m = len(outcomes)
			outcomes, count = append(outcomes, n), append(count, 0)
		}
		marks[i] = uint16(m)
		if count[m]++; count[m] > count[most] {
			most = m
		}
	}
	told, err := b.ask(a, marks, uint16(most))
	if err != nil {
		return nil, err
	}
	// Numbers that no call has are between and behind those that one has.
	other := b.clauses([]seccomp.Clause{a.Unknown})
	parts := []part{{x32Bit(a.Arch), other}}
	add := func(lo uint32, to *node) {
		if last := &parts[len(parts)-1]; last.lo == lo {
			last.to = to
		} else {
			parts = append(parts, part{lo, to})
		}
	}
	for i, c := range a.Calls {
		add(c.Number, outcomes[told[i]])
		add(c.Number+1, other)
	}
	return b.divide(slices.CompactFunc(parts, func(x, y part) bool { return x.to == y.to }), a), nil
}

// ask has libseccomp tell the mark of every call's number, and makes sure that
// it tells the right one: neither libseccomp nor whoever may have written to
// the cache decides what a policy allows. Most calls have the mark most.
func (b *builder) ask(a *seccomp.Answers, marks []uint16, most uint16) ([]uint16, error) {
	request := make([]rule, 0, len(marks))
	for i, c := range a.Calls {
		if marks[i] != most {
			request = append(request, rule{c.Number &^ x32Bit(a.Arch), marks[i]})
		}
	}
	check := func(code []byte) ([]uint16, error) {
		found, err := trace(code)
		if err != nil {
			return nil, err
		}
		told := make([]uint16, len(marks))
		for i, c := range a.Calls {
			if told[i] = found.find(c.Number &^ x32Bit(a.Arch)); told[i] != marks[i] {
				return nil, fmt.Errorf("it answers %s with the mark %d, not %d", c.Syscall.Name(), told[i], marks[i])
			}
		}
		return told, nil
	}
	key := requestKey(request, most)
	if code := b.store.Get(key); code != nil {
		if told, err := check(code); err == nil {
			return told, nil
		}
		// What is not right is as good as not there.
	}
	code, err := numbers(request, most)
	if err != nil {
		return nil, err
	}
	told, err := check(code)
	if err != nil {
		return nil, fmt.Errorf("libseccomp's program: %w", err)
	}
	b.store.Put(key, code)
	return told, nil
}

// rule asks for the mark of a number.
type rule struct {
	nr   uint32
	mark uint16
}

// requestKey names what is asked of libseccomp, for the store.
func requestKey(request []rule, most uint16) [sha256.Size]byte {
	h := sha256.New()
	major, minor, micro := libseccomp.GetLibraryVersion()
	fmt.Fprintf(h, "sbx %d, libseccomp %d.%d.%d, %s, %d\n", Version, major, minor, micro, seccomp.Native(), most)
	for _, r := range request {
		fmt.Fprintln(h, r.nr, r.mark)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func x32Bit(a seccomp.Arch) uint32 {
	if a == seccomp.X32 {
		return seccomp.X32Bit
	}
	return 0
}

// numbers has libseccomp make a program that answers SECCOMP_RET_TRACE with
// the mark of a system call's number, and with most for all that the request
// has not. TRACE is what no policy can ask for, so that a mark cannot be taken
// for an answer.
//
// The numbers are given to libseccomp as if they were of the machine's own
// architecture, whichever they are of: only then does it take numbers that it
// has no name for, those of all calls younger than itself.
func numbers(request []rule, most uint16) ([]byte, error) {
	filter, err := libseccomp.NewFilter(mark(most))
	if err != nil {
		return nil, fmt.Errorf("libseccomp: new filter: %w", err)
	}
	defer filter.Release()
	if err := filter.SetOptimize(2); err != nil { // a binary tree
		return nil, fmt.Errorf("libseccomp: binary tree: %w", err)
	}
	for _, r := range request {
		if err := filter.AddRuleExact(libseccomp.ScmpSyscall(r.nr), mark(r.mark)); err != nil {
			return nil, fmt.Errorf("libseccomp: add call %d: %w", r.nr, err)
		}
	}
	code, err := export(filter)
	if err != nil {
		return nil, fmt.Errorf("libseccomp: export: %w", err)
	}
	return code, nil
}

// export gets the program out of libseccomp, which before 2.6 writes to files
// only.
func export(filter *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("sbx-filter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), "sbx-filter")
	defer file.Close()
	if err := filter.ExportBPF(file); err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
}

func mark(m uint16) libseccomp.ScmpAction { return libseccomp.ActTrace.SetReturnCode(int16(m)) }
