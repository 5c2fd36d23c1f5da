package caps

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Bounding drops every capability from the bounding set except Keep. Linux 2.6.25,
// prctl(2).
type Bounding struct {
	Keep Set
	Last int // number of the kernel's last capability
}

func (s Bounding) String() string { return "limit the bounding set to " + s.Keep.String() }

func (Bounding) Kind() string { return "drop-bounding-set" }

// Compile drops one capability per call, as there is no other way.
func (s Bounding) Compile(a *step.Asm) {
	for n := 0; n <= s.Last; n++ {
		if s.Keep&(1<<uint(n)) == 0 {
			a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAPBSET_DROP), step.Int(n))
		}
	}
}

// Securebits sets and locks the flags of capabilities(7), "The securebits flags". An exec
// by user 0 grants nothing (NOROOT), unless root keeps capabilities; then it grants the
// bounding set.
type Securebits struct {
	// RootKeeps leaves user 0 the capabilities of its bounding set at exec.
	RootKeeps bool
}

func (s Securebits) String() string {
	if s.RootKeeps {
		return "lock the securebits, root keeping its bounding set"
	}
	return "lock the securebits, root without capabilities"
}

// Bits is the value for prctl(PR_SET_SECUREBITS).
func (s Securebits) Bits() int {
	const (
		noroot, norootLocked   = 1 << 0, 1 << 1
		noFixup, noFixupLocked = 1 << 2, 1 << 3 // of the sets when the user id changes
		keepCapsLocked         = 1 << 5
		noRaise, noRaiseLocked = 1 << 6, 1 << 7 // of ambient capabilities
	)
	b := norootLocked | noFixupLocked | keepCapsLocked | noRaise | noRaiseLocked
	if !s.RootKeeps {
		// Only then: where root keeps some, a process of root's that changes its user
		// must lose them, which is what the fixup does.
		b |= noroot | noFixup
	}
	return b
}

func (Securebits) Kind() string { return "lock-securebits" }

// Compile sets the bits and reads them back.
func (s Securebits) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_SECUREBITS), step.Int(s.Bits()))
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_SECUREBITS)).Expect(s.Bits())
}

// Ambient makes the ambient set (Linux 4.3) exactly Keep, which is mostly empty, so that an
// exec gives no capability that the file does not have. It comes before Securebits, which
// forbids raising more.
type Ambient struct{ Keep Set }

func (s Ambient) String() string {
	if s.Keep == 0 {
		return "empty the ambient set"
	}
	return "make the ambient set " + s.Keep.String()
}

func (Ambient) Kind() string { return "set-ambient-set" }

// Compile clears the whole set in one call. To be raised, a capability must be permitted and
// inheritable, so it sets the inheritable set too; the others stay as they are.
func (s Ambient) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAP_AMBIENT), step.Int(unix.PR_CAP_AMBIENT_CLEAR_ALL))
	if s.Keep == 0 {
		return
	}
	const inheritable, nextHalf = 8, 12 // in struct __user_cap_data_struct
	hdr, sets := a.Bytes(header()), a.Space(24)
	a.Sys(unix.SYS_CAPGET, hdr, sets)
	a.Store(sets.At(inheritable), step.Int(uint32(s.Keep)))
	a.Store(sets.At(inheritable+nextHalf), step.Int(uint32(s.Keep>>32)))
	a.Sys(unix.SYS_CAPSET, hdr, sets)
	for n := 0; n < 64; n++ {
		if s.Keep&(1<<uint(n)) != 0 {
			a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAP_AMBIENT), step.Int(unix.PR_CAP_AMBIENT_RAISE),
				step.Int(n), step.Int(0), step.Int(0))
		}
	}
}

// Reduce makes the permitted and effective sets exactly Keep, and the inheritable set
// Inherit, which is empty unless the ambient set needs it. The kernel refuses a Keep that the
// process does not have.
type Reduce struct {
	Keep, Inherit Set
	// Who is the process: "target" or "init".
	Who string
}

func (s Reduce) String() string {
	return fmt.Sprintf("reduce the %s's capabilities to %s", s.Who, s.Keep)
}

func (Reduce) Kind() string { return "reduce-capabilities" }

// Compile is one capset(2).
func (s Reduce) Compile(a *step.Asm) {
	a.Sys(unix.SYS_CAPSET, a.Bytes(header()), a.Bytes(s.data()))
}

// data is two struct __user_cap_data_struct: effective, permitted,
// inheritable of the lower 32, then of the upper.
func (s Reduce) data() []byte {
	lo, hi := uint32(s.Keep), uint32(s.Keep>>32)
	b := make([]byte, 0, 24)
	for _, w := range [...]uint32{lo, lo, uint32(s.Inherit), hi, hi, uint32(s.Inherit >> 32)} {
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
	Keep, Ambient Set
	Last          int
	// AnyBounding leaves the bounding set out, which takes CAP_SETPCAP to change.
	AnyBounding bool
}

func (s Verify) String() string {
	if s.AnyBounding {
		return "verify that the capabilities left are " + s.Keep.String() + ", but for the bounding set"
	}
	if s.Ambient != 0 {
		return fmt.Sprintf("verify that the capabilities left are %s, ambient %s", s.Keep, s.Ambient)
	}
	return "verify that the capabilities left are " + s.Keep.String()
}

func (Verify) Kind() string { return "verify-capabilities" }

// Compile reads each set from the kernel.
func (s Verify) Compile(a *step.Asm) {
	got := a.Space(24)
	a.Sys(unix.SYS_CAPGET, a.Bytes(header()), got)
	a.Compare(got, Reduce{Keep: s.Keep, Inherit: s.Ambient}.data())
	for n := 0; n <= s.Last && !s.AnyBounding; n++ {
		a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAPBSET_READ), step.Int(n)).Expect(int(s.Keep >> uint(n) & 1))
	}
	if s.Ambient == 0 {
		return // the ambient set is a subset of the inheritable one, which is empty
	}
	for n := 0; n <= s.Last; n++ {
		a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAP_AMBIENT), step.Int(unix.PR_CAP_AMBIENT_IS_SET),
			step.Int(n), step.Int(0), step.Int(0)).Expect(int(s.Ambient >> uint(n) & 1))
	}
}
