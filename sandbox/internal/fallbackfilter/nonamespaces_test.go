package fallbackfilter

import (
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// TestBareFilters asks those for launches without namespaces by numbers from the kernel's
// own headers.
func TestBareFilters(t *testing.T) {
	const (
		allow, perm, noCall, notSupported, noFamily, notify = 0x7fff0000, 0x50001, 0x50026, 0x5005f, 0x50061, 0x7fc00000
		stream, dgram, raw, seqpacket                       = 1, 2, 3, 5
	)
	type question struct {
		nr   uint32
		args []uint64
		want map[Filter]uint32 // allow where a filter is not named
	}
	all := func(answer uint32) map[Filter]uint32 {
		return map[Filter]uint32{MetadataListen: answer, MetadataListenStrict: answer, MetadataListenOpen: answer}
	}
	sockets := func(no, network uint32) map[Filter]uint32 {
		return map[Filter]uint32{NoSockets: no, NoNetwork: network}
	}
	ipc := map[Filter]uint32{NoIPC: noCall}
	var questions []question
	for _, high := range []uint64{0, 1 << 32} {
		questions = append(questions, []question{
			{41, []uint64{unix.AF_UNIX | high, stream}, sockets(noFamily, allow)},
			{41, []uint64{unix.AF_INET | high, stream}, sockets(noFamily, noFamily)},
			{41, []uint64{unix.AF_NETLINK | high, raw}, sockets(noFamily, noFamily)},
			{41, []uint64{unix.AF_VSOCK | high, stream}, sockets(noFamily, noFamily)},
			{53, []uint64{unix.AF_UNIX | high, stream | unix.SOCK_CLOEXEC}, sockets(allow, allow)},
			{53, []uint64{unix.AF_UNIX | high, seqpacket}, sockets(allow, allow)},
			{53, []uint64{unix.AF_UNIX | high, dgram}, sockets(noFamily, allow)},
			{53, []uint64{unix.AF_TIPC | high, stream}, sockets(noFamily, noFamily)},
			{90, []uint64{0x1000, 0o755 | high}, all(notify)},
			{90, []uint64{0x1000, 0o2755 | high}, all(notify)},
			{90, []uint64{0x1000, 0o4755 | high}, all(perm)},
			{91, []uint64{3, 0o644 | high}, all(notify)},
			{91, []uint64{3, 0o6644 | high}, all(perm)},
			{268, []uint64{3, 0x1000, 0o644 | high}, all(notify)},
			{452, []uint64{3, 0x1000, 0o4644 | high}, all(perm)},
			{452, []uint64{3, 0x1000, 0o644 | high, 0x1000}, all(notify)},
		}...)
	}
	for _, nr := range []uint32{92, 93, 94, 260, 132, 235, 261, 280} { // chown and its like, utime and its like
		questions = append(questions, question{nr, []uint64{3, 0x1000}, all(notify)})
	}
	for _, nr := range []uint32{188, 189, 190, 463, 197, 198, 199, 466, 469} { // extended attributes
		questions = append(questions, question{nr, []uint64{3, 0x1000}, all(notSupported)})
	}
	for _, nr := range []uint32{29, 30, 31, 64, 65, 220, 66, 68, 69, 70, 71, 240, 241} { // System V, message queues
		questions = append(questions, question{nr, []uint64{1, 2}, ipc})
	}
	questions = append(questions,
		question{425, nil, sockets(perm, perm)},
		question{437, []uint64{3, 0x1000, 0x2000, 24}, map[Filter]uint32{
			MetadataListenStrict: noCall, MetadataListenOpen: notify}},
		question{unix.SYS_READ, nil, nil}, question{unix.SYS_CONNECT, nil, nil}, question{unix.SYS_SENDMSG, nil, nil},
	)
	for _, f := range []Filter{NoSockets, NoNetwork, NoIPC, MetadataListen, MetadataListenStrict, MetadataListenOpen} {
		code, err := bpf.Decode(f.Program(seccomp.AMD64))
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range questions {
			c := bpf.Call{Audit: amd64ABI, Number: q.nr}
			copy(c.Args[:], q.args)
			want, ok := q.want[f]
			if !ok {
				want = allow
			}
			if got, _ := bpf.Run(code, c); got != want {
				t.Errorf("%s: call %d %#o: %#x, want %#x", f, q.nr, q.args, got, want)
			}
		}
	}
}
