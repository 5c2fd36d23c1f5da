package notify

import (
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
)

// How many processes, and descriptors of each, Sender looks at.
const (
	maxSenders     = 500
	maxDescriptors = 2000
)

// Sender is which program of a sandbox has the socket at that port of its network, and its
// pid inside. init is the sandbox's init. The program waits for an answer, so its socket is
// there. It is "" where nobody is found: this is for a report, and decides nothing.
func Sender(init int, tcp bool, port uint16) (exe string, pid int) {
	table := "udp"
	if tcp {
		table = "tcp"
	}
	inode := ""
	for _, file := range [...]string{table, table + "6"} {
		text, err := sys.ReadFile(proc(init, "net/"+file))
		if err != nil {
			return "", 0
		}
		if inode = inodeAt(text, port); inode != "" {
			break
		}
	}
	if inode == "" {
		return "", 0
	}
	list := []int{init}
	for i := 0; i < len(list) && len(list) < maxSenders; i++ {
		if i > 0 && holds(list[i], "socket:["+inode+"]") {
			status, err := sys.ReadFile(proc(list[i], "status"))
			link := make([]byte, maxText)
			n, bad := unix.Readlink(proc(list[i], "exe"), link)
			if err != nil || bad != nil {
				return "", 0
			}
			return string(link[:n]), field(status, "NStgid:", 10)
		}
		list = append(list, children(list[i])...)
	}
	return "", 0
}

// children are those that the first thread of a process has now. One that has ended has none.
func children(pid int) (list []int) {
	text, err := sys.ReadFile(proc(pid, "task/"+strconv.Itoa(pid)+"/children"))
	if err != nil {
		return nil
	}
	for s := range strings.FieldsSeq(text) {
		if n, err := strconv.Atoi(s); err == nil {
			list = append(list, n)
		}
	}
	return list
}

func proc(pid int, file string) string { return "/proc/" + strconv.Itoa(pid) + "/" + file }

// inodeAt is the inode of the socket at the port, in a table such as /proc/net/udp.
func inodeAt(table string, port uint16) string {
	want := ":" + strings.ToUpper(strconv.FormatUint(uint64(port)|1<<16, 16)[1:])
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[1], want) && f[9] != "0" {
			return f[9]
		}
	}
	return ""
}

// holds says whether one of the process's descriptors is that.
func holds(pid int, what string) bool {
	dir, err := os.Open(proc(pid, "fd"))
	if err != nil {
		return false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxDescriptors)
	if err != nil {
		return false
	}
	link := make([]byte, 64)
	for _, name := range names {
		n, err := unix.Readlink(path.Join(dir.Name(), name), link)
		if err == nil && string(link[:n]) == what {
			return true
		}
	}
	return false
}
