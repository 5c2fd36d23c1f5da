package caps

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Bounding empties the bounding set but for Keep. Linux 2.6.25, prctl(2).
type Bounding struct {
	Keep Set
	Last int // number of the kernel's last capability
}

func (s Bounding) String() string { return "limit the bounding set to " + s.Keep.String() }

func (Bounding) Kind() string { return "drop-bounding-set" }

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

func (Securebits) Kind() string { return "lock-securebits" }

// Compile sets the bits and reads them back.
func (s Securebits) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_SECUREBITS), step.Int(s.Bits()))
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_SECUREBITS)).Expect(s.Bits())
}

// Ambient leaves the ambient set (Linux 4.3) exactly Keep, mostly nothing, so
// that no exec carries a capability that the file does not have. It goes
// before Securebits, which forbids raising any further.
type Ambient struct{ Keep Set }

func (s Ambient) String() string {
	if s.Keep == 0 {
		return "empty the ambient set"
	}
	return "make the ambient set " + s.Keep.String()
}

func (Ambient) Kind() string { return "set-ambient-set" }

// Compile clears the whole set in one call. What is then raised one by one
// must be permitted and inheritable; the other sets stay as they are.
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
			a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAP_AMBIENT), step.Int(unix.PR_CAP_AMBIENT_RAISE), step.Int(n), step.Int(0), step.Int(0))
		}
	}
}

// Reduce leaves the permitted and effective sets exactly Keep, and the
// inheritable set Inherit: nothing, unless it is to be ambient too. Where Keep
// holds what the process does not have, the kernel refuses.
type Reduce struct {
	Keep, Inherit Set
	// Who is whose sets they are: "target" or "init".
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
}

func (s Verify) String() string {
	if s.Ambient != 0 {
		return fmt.Sprintf("verify that the capabilities left are %s, ambient %s", s.Keep, s.Ambient)
	}
	return "verify that the capabilities left are " + s.Keep.String()
}

func (Verify) Kind() string { return "verify-capabilities" }

// Compile asks the kernel for each set anew.
func (s Verify) Compile(a *step.Asm) {
	got := a.Space(24)
	a.Sys(unix.SYS_CAPGET, a.Bytes(header()), got)
	a.Compare(got, Reduce{Keep: s.Keep, Inherit: s.Ambient}.data())
	for n := 0; n <= s.Last; n++ {
		a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAPBSET_READ), step.Int(n)).Expect(int(s.Keep >> uint(n) & 1))
	}
	if s.Ambient == 0 {
		return // a subset of inheritable, which capget has shown to be empty
	}
	for n := 0; n <= s.Last; n++ {
		a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_CAP_AMBIENT), step.Int(unix.PR_CAP_AMBIENT_IS_SET), step.Int(n), step.Int(0), step.Int(0)).
			Expect(int(s.Ambient >> uint(n) & 1))
	}
}
