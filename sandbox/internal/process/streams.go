package process

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// AnnounceInit gives the janitor a descriptor of the process that becomes the
// init (pidfd_open(2), Linux 5.3). Where the launcher is killed the janitor
// waits for the init's end, which is the end of the target: what it restores
// nobody changes again.
type AnnounceInit struct{}

func (AnnounceInit) String() string { return "tell the janitor by whose end all have ended" }

func (AnnounceInit) Kind() string { return "announce-init" }

// Compile sends it over the socket that the launcher has to the janitor.
func (AnnounceInit) Compile(a *step.Asm) {
	self, fd := a.Temp(), a.Temp()
	a.Sys(unix.SYS_GETPID).To(self)
	a.Sys(unix.SYS_PIDFD_OPEN, self.Arg(), step.Int(0)).To(fd)
	a.SendFD(a.Janitor, []byte{step.MsgInit}, fd.Arg())
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// RestoreMetadata puts back what the target has changed of the mode, owner,
// times and extended attributes of a descriptor's file, where nothing keeps it
// from changing them: a file that is open for writing cannot lie on a read-only
// mount. It is the janitor's, so it is done however the launcher ends.
type RestoreMetadata struct {
	// Stream is the target's descriptor, and Index the number under which is
	// reported what was put back.
	Stream, Index int
	step.Metadata
}

func (r RestoreMetadata) String() string {
	return fmt.Sprintf("restore mode, owner, times and attributes of the file at descriptor %d if they have changed",
		r.Stream)
}

func (RestoreMetadata) Kind() string { return "restore-metadata" }

// Holds is the descriptor that the janitor has to hold open for it.
func (r RestoreMetadata) Holds() int { return r.FD }

// Compile is one operation of the janitor's, which means the file by its own
// descriptor in /proc: chmod(2) takes no O_PATH one.
func (r RestoreMetadata) Compile(a *step.Asm) {
	a.Restore(r.Metadata, "/proc/self/fd/"+strconv.Itoa(r.FD), r.Index)
}
