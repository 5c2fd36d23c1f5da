package host

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// rawEntry is a directory entry: its name, in a buffer that will be used again, its
// DT_* kind, and its inode number.
type rawEntry struct {
	name []byte
	kind uint8
	ino  uint64
}

func (e *rawEntry) dots() bool {
	return e.name[0] == '.' && (len(e.name) == 1 || len(e.name) == 2 && e.name[1] == '.')
}

// entry is a rawEntry that can be kept.
type entry struct {
	name string
	kind uint8
	ino  uint64
}

// dirent is rawDirent for what is to be kept.
func dirent(b []byte) (e entry, rest []byte) {
	raw, rest := rawDirent(b)
	return entry{string(raw.name), raw.kind, raw.ino}, rest
}

// Where a struct linux_dirent64 has its length, kind and name.
const direntLen, direntType, direntName = 16, 18, 19

// rawDirent cuts the first struct linux_dirent64 off b; see getdents64(2).
func rawDirent(b []byte) (e rawEntry, rest []byte) {
	n := int(binary.NativeEndian.Uint16(b[direntLen:]))
	name := b[direntName:n]
	if end := bytes.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	return rawEntry{name, b[direntType], binary.NativeEndian.Uint64(b)}, b[n:]
}

// appendDirent appends an entry in the kernel's form.
func appendDirent(b []byte, e rawEntry) []byte {
	n := direntName + len(e.name) + 1
	b = slices.Grow(b, n)
	b = binary.NativeEndian.AppendUint64(b, e.ino)
	b = binary.NativeEndian.AppendUint64(b, 0)
	b = binary.NativeEndian.AppendUint16(b, uint16(n))
	return append(append(append(b, e.kind), e.name...), 0)
}

// cutDirent cuts an entry off that appendDirent made, or returns nil where it is none.
func cutDirent(b []byte) []byte {
	if len(b) < direntName+2 {
		return nil
	}
	n := int(binary.NativeEndian.Uint16(b[direntLen:]))
	if n < direntName+2 || n > len(b) || b[n-1] != 0 {
		return nil
	}
	return b[n:]
}
