package process

import (
	"encoding/binary"
	"strings"
)

// elfLoader is the dynamic loader that a program names (PT_INTERP, elf(5)), or "": it is
// linked statically, or no program for this kind of machine.
func elfLoader(path string) string {
	const headerSize, entrySize, loader = 64, 56, 3
	// Headers and the name stand at the beginning of all that linkers make.
	b := firstBytes(path, 4096)
	if len(b) < headerSize || b[:4] != "\x7fELF" || b[4] != 2 || b[5] != 1 { // 64 bits, little-endian
		return ""
	}
	data := []byte(b)
	at, count := binary.LittleEndian.Uint64(data[32:]), int(binary.LittleEndian.Uint16(data[56:]))
	for range count {
		if at > uint64(len(data)-entrySize) {
			return ""
		}
		entry := data[at:]
		if binary.LittleEndian.Uint32(entry) == loader {
			from, size := binary.LittleEndian.Uint64(entry[8:]), binary.LittleEndian.Uint64(entry[32:])
			if from > uint64(len(data)) || size > uint64(len(data))-from {
				return ""
			}
			return strings.TrimRight(string(data[from:from+size]), "\x00")
		}
		at += entrySize
	}
	return ""
}
