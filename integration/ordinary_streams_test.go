package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOrdinaryStreams: with sbx in front of it a program does with its standard
// streams what it does without: whatever they are, however they are shared, and
// whoever goes on with them.
func TestOrdinaryStreams(t *testing.T) {
	for _, script := range []string{
		// What is not read is left to the next one.
		`while read line; do echo "shell $line"; $SBX head -c 2; done <lines`,
		`{ $SBX head -c 6; echo; echo -; cat; } <lines`,
		`{ read first; $SBX cat; echo "rest: $(cat)"; } <lines`,
		`{ $SBX true; cat; } <lines`,
		`{ cat >/dev/null; $SBX cat; echo end; } <lines`,
		`exec 5<lines; $SBX head -c 2 <&5; $SBX head -c 2 <&5; cat <&5`,
		// Written to.
		`$SBX echo one >out; $SBX echo two >>out; cat out`,
		`{ echo before; $SBX echo within; echo after; } >out; cat out`,
		`echo 1234567890 >out; { $SBX printf ab; printf cd; } 1<>out; cat out`,
		`$SBX sh -c 'echo out; echo err >&2' >out 2>&1; cat out`,
		`$SBX sh -c 'echo out; echo err >&2' >out 2>err; cat err out`,
		`$SBX sh -c 'echo again >/dev/stderr' 2>out; cat out`,
		`$SBX sh -c 'cat lines >/dev/stdout' >out; cat out`,
		`$SBX sort -o /dev/stdout <lines >out; cat out`,
		// Pipes, here-documents and the like.
		`cat lines | $SBX tr a-z A-Z | cat`,
		"$SBX cat <<END\nhere\nEND",
		`$SBX cat <<<text`,
		`cat <($SBX echo substituted)`,
		`$SBX sh -c 'cat; cat </dev/stdin' <lines`,
		`$SBX sh -c 'exec 3<&0; cat <&3' <lines`,
		`$SBX tail -n 1 <lines; $SBX tail -c 3 <lines; $SBX wc -l <lines`,
		`$SBX readlink /proc/self/fd/0 <lines`,
		`$SBX sh /dev/stdin <program`,
		`$SBX cat </dev/null; $SBX head -c 3 </dev/zero | od -c; $SBX sh -c 'echo >/dev/full' ; echo $?`,
		`$SBX sh -c 'read x; echo "got $x"' <&-; echo $?`,
		// A FIFO, from both sides.
		`(echo through >fifo) & $SBX cat <fifo; wait`,
		`cat fifo >out & $SBX sh -c 'echo through; echo again >/dev/stdout' >fifo; wait; cat out`,
		`cat fifo >out & { $SBX echo one; $SBX echo two; } >fifo; wait; cat out`,
		// Flags.
		`echo old >out; $SBX python3 -c 'import os; os.lseek(1, 0, 0); os.write(1, b"new\n")' >>out; cat out`,
		`$SBX python3 -c 'import fcntl; print([oct(fcntl.fcntl(f, fcntl.F_GETFL) & 0o6003) for f in (0, 1, 2)])' \
			<lines >out 2>>err; cat out`,
		`$SBX python3 -c 'import os; s = os.fstat(0); print(s.st_ino, s.st_size)' <lines`,
	} {
		with := streamed(t, script, binary("sbx")+" --policy project --")
		without := streamed(t, script, "")
		if with != without {
			t.Errorf("%s\n--- with sbx\n%s--- without\n%s", script, with, without)
		}
	}
}

// streamed is what a script says in a directory with a few files.
func streamed(t *testing.T, script, sbx string) string {
	t.Helper()
	// One name for both, which some print.
	dir := filepath.Join(t.TempDir(), "p")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"lines": "a\nb\nc\nd\ne\n", "program": "echo ran\n", "err": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, call{args: []string{"/bin/bash", "-c", "mkfifo fifo; SBX='" + sbx + "'; " + script}, dir: dir})
	inode := run(t, call{args: []string{"/bin/bash", "-c", "stat -c %i lines"}, dir: dir})
	said := strings.ReplaceAll(r.stdout+r.stderr, dir, "DIR")
	return strings.ReplaceAll(said, strings.TrimSpace(inode.stdout), "INODE")
}
