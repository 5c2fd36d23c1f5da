package caps

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/sandbox/step"
)

// Bounding empties the bounding set but for Keep. Linux 2.6.25, prctl(2).
type Bounding struct {
	Keep Set
	Last int // number of the kernel's last capability
}

func (s Bounding) String() string { return "limit the bounding set to " + s.Keep.String() }

// Compile drops one capability a call: there is no other way.
func (s Bounding) Compile(a *step.Asm) {
	for n := 0; n <= s.Last; n++ {
		if s.Keep&(1<<uint(n)) == 0 {
			a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAPBSET_DROP), step.Int(n))
		}
	}
}

// Securebits locks the switches of capabilities(7), "The securebits flags".
// Exec by user 0 grants nothing (NOROOT) unless root keeps some, in which
// case the bounding set is what bounds it.
type Securebits struct {
	// RootKeeps leaves user 0 the capabilities of its bounding set at exec.
	RootKeeps bool
}

func (s Securebits) String() string {
	if s.RootKeeps {
		return "lock the securebits, root keeping its bounding set"
	}
	return "lock the securebits, root without powers"
}

// Bits is the value that prctl(PR_SET_SECUREBITS) is given.
func (s Securebits) Bits() int {
	const (
		noroot, norootLocked   = 1 << 0, 1 << 1
		noFixup, noFixupLocked = 1 << 2, 1 << 3 // of the sets when the user changes
		keepCapsLocked         = 1 << 5
		noRaise, noRaiseLocked = 1 << 6, 1 << 7 // of ambient capabilities
	)
	b := norootLocked | noFixupLocked | keepCapsLocked | noRaise | noRaiseLocked
	if !s.RootKeeps {
		// Without the fixup root's workers would keep root's powers.
		b |= noroot | noFixup
	}
	return b
}

// Compile sets the bits and reads them back.
func (s Securebits) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_SECUREBITS), step.Int(s.Bits()))
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_SECUREBITS)).Expect(s.Bits())
}

// Ambient empties the ambient set (Linux 4.3), so that no exec carries a
// capability that the file does not have.
type Ambient struct{}

func (Ambient) String() string { return "empty the ambient set" }

// Compile clears the whole set in one call.
func (Ambient) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAP_AMBIENT), step.Int(unix.PR_CAP_AMBIENT_CLEAR_ALL))
}

// Reduce leaves the permitted and effective sets exactly Keep, and the
// inheritable set empty. Where Keep holds what the process does not have, the
// kernel refuses.
type Reduce struct {
	Keep Set
	// Who is whose sets they are: "target" or "init".
	Who string
}

func (s Reduce) String() string {
	return fmt.Sprintf("reduce the %s's capabilities to %s", s.Who, s.Keep)
}

// Compile is one capset(2).
func (s Reduce) Compile(a *step.Asm) {
	a.Sys(unix.SYS_CAPSET, a.Bytes(header()), a.Bytes(s.data()))
}

// data is two struct __user_cap_data_struct: effective, permitted,
// inheritable of the lower 32, then of the upper.
func (s Reduce) data() []byte {
	lo, hi := uint32(s.Keep), uint32(s.Keep>>32)
	b := make([]byte, 0, 24)
	for _, w := range [...]uint32{lo, lo, 0, hi, hi, 0} {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

func header() []byte {
	b := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	return binary.NativeEndian.AppendUint32(b, 0)
}

// Verify reads all five sets back and compares.
type Verify struct {
	Keep Set
	Last int
}

func (s Verify) String() string { return "verify that the capabilities left are " + s.Keep.String() }

// Compile asks the kernel for each set anew.
func (s Verify) Compile(a *step.Asm) {
	got := a.Space(24)
	a.Sys(unix.SYS_CAPGET, a.Bytes(header()), got)
	a.Compare(got, Reduce{Keep: s.Keep}.data())
	for n := 0; n <= s.Last; n++ {
		kept := 0
		if s.Keep&(1<<uint(n)) != 0 {
			kept = 1
		}
		a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAPBSET_READ), step.Int(n)).Expect(kept)
	}
	// Ambient is a subset of inheritable, which capget has shown to be empty.
}
