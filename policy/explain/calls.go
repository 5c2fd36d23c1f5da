package explain

import "strings"

// Kind is what an argument is, and so how it is read and printed.
type Kind uint8

// The kinds of arguments.
const (
	Hidden    Kind = iota // an address, a size, or what says nothing: never printed
	Path                  // the address of a path
	Text                  // the address of a short name, such as a file system's type
	Address               // the address of a socket address, whose length is the next argument
	Dir                   // a descriptor that the next path is relative to
	Number                // a number
	Mode                  // permissions of a file
	Hex                   // a number that is best read in hexadecimal
	Flags                 // constants joined by |
	Choice                // one constant
	Clone                 // flags of clone(2), with a signal in the low byte
	Open                  // flags of open(2)
	Signal                // a signal's number
	Request               // a request of ioctl(2)
	CloneArgs             // the address of what clone3(2) is given: its namespaces are read
)

// Param is one argument of a system call.
type Param struct {
	Kind Kind
	// Prefix is that of the constants, as "MS_".
	Prefix string
}

// callParams are the arguments of the calls that are denied most often, one letter for
// each argument. Behind a letter for constants stands the prefix of their names, and a
// space. Of all other calls the numbers are printed.
var callParams = [...]struct{ name, params string }{
	// Files and their attributes.
	{"open", "pOo"}, {"openat", "dpOo"}, {"openat2", "dp"}, {"creat", "po"}, {"mknod", "pox"}, {"mknodat", "dpox"},
	{"chmod", "po"}, {"fchmod", "no"}, {"fchmodat", "dpo"}, {"fchmodat2", "dpo"},
	{"chown", "pnn"}, {"lchown", "pnn"}, {"fchown", "nnn"}, {"fchownat", "dpnn"},
	{"utime", "p"}, {"utimes", "p"}, {"futimesat", "dp"}, {"utimensat", "dp"},
	{"setxattr", "pt"}, {"lsetxattr", "pt"}, {"fsetxattr", "nt"}, {"setxattrat", "dp-t"},
	{"removexattr", "pt"}, {"lremovexattr", "pt"}, {"fremovexattr", "nt"}, {"removexattrat", "dp-t"},
	{"renameat2", "dpdpfRENAME_ "}, {"fcntl", "ncF_ x"}, {"ioctl", "nr"}, {"file_setattr", "dp"},
	{"name_to_handle_at", "dp"}, {"open_by_handle_at", "n"}, {"chroot", "p"}, {"acct", "p"}, {"uselib", "p"},
	{"fanotify_init", "xx"}, {"fanotify_mark", "nxxdp"}, {"quotactl", "xp"}, {"swapon", "p"}, {"swapoff", "p"},
	// Mounts.
	{"mount", "pptfMS_ "}, {"umount", "p"}, {"umount2", "pfMNT_ "}, {"pivot_root", "pp"},
	{"fsopen", "tx"}, {"fspick", "dpx"}, {"fsmount", "nxx"}, {"move_mount", "dpdp"}, {"open_tree", "dpx"},
	{"mount_setattr", "dpx"}, {"listmount", ""}, {"statmount", ""},
	// Processes, namespaces and credentials.
	{"clone", "k"}, {"clone3", "K"}, {"unshare", "fCLONE_ "}, {"setns", "nfCLONE_ "}, {"ptrace", "cPTRACE_ n"},
	{"process_vm_readv", "n"}, {"process_vm_writev", "n"}, {"kcmp", "nnn"}, {"pidfd_getfd", "nn"},
	{"kill", "ng"}, {"tkill", "ng"}, {"tgkill", "nng"}, {"pidfd_send_signal", "ng"}, {"rt_sigqueueinfo", "ng"},
	{"rt_tgsigqueueinfo", "nng"}, {"pidfd_open", "nx"}, {"prctl", "cPR_ x"}, {"personality", "x"},
	{"setpriority", "cPRIO_ nn"}, {"ioprio_set", "nnx"}, {"prlimit64", "ncRLIMIT_ "}, {"setrlimit", "cRLIMIT_ "},
	{"sched_setaffinity", "n"}, {"sched_setscheduler", "ncSCHED_ "}, {"sched_setattr", "n"}, {"sched_setparam", "n"},
	{"setuid", "n"}, {"setgid", "n"}, {"setreuid", "nn"}, {"setregid", "nn"}, {"setresuid", "nnn"},
	{"setresgid", "nnn"}, {"setfsuid", "n"}, {"setfsgid", "n"}, {"setgroups", "n"}, {"capset", ""},
	{"seccomp", "cSECCOMP_ x"}, {"landlock_create_ruleset", ""}, {"landlock_restrict_self", ""},
	// The kernel's own interfaces.
	{"bpf", "x"}, {"perf_event_open", "-nnn"}, {"userfaultfd", "x"}, {"io_uring_setup", "n"},
	{"io_uring_enter", "n"}, {"io_uring_register", "n"}, {"keyctl", "cKEYCTL_ "}, {"add_key", "t"},
	{"request_key", "t"}, {"init_module", ""}, {"finit_module", "n"}, {"delete_module", "t"},
	{"kexec_load", ""}, {"kexec_file_load", "nn"}, {"reboot", "xxx"}, {"syslog", "n"}, {"sethostname", ""},
	{"setdomainname", ""}, {"settimeofday", ""}, {"clock_settime", "cCLOCK_ "}, {"clock_adjtime", "cCLOCK_ "},
	{"adjtimex", ""}, {"iopl", "n"}, {"ioperm", "xxn"}, {"modify_ldt", "n"}, {"vhangup", ""},
	{"lookup_dcookie", ""}, {"memfd_secret", "x"},
	// Memory, and System V objects.
	{"mbind", "--cMPOL_ "}, {"set_mempolicy", "cMPOL_ "}, {"get_mempolicy", ""}, {"migrate_pages", "n"},
	{"mmap", "-nfPROT_ fMAP_ n"}, {"move_pages", "n"}, {"pkey_alloc", ""}, {"shmget", "xnx"}, {"semget", "xnx"},
	{"msgget", "xx"},
	{"mq_open", "pOo"}, {"mlock", ""}, {"mlock2", ""}, {"mlockall", "fMCL_ "},
	// The network.
	{"socket", "cAF_ sn"}, {"socketpair", "cAF_ sn"}, {"connect", "na-"}, {"bind", "na-"}, {"listen", "nn"},
	{"accept", "n"}, {"accept4", "n"}, {"sendto", "n--fMSG_ a-"}, {"sendmsg", "n-fMSG_ "}, {"sendmmsg", "n--fMSG_ "},
	{"recvfrom", "n"}, {"recvmsg", "n"}, {"getsockopt", "ncSOL_ n"}, {"setsockopt", "ncSOL_ n"}, {"shutdown", "nn"},
}

// Params are the arguments of the call that are worth a look. known is false for calls
// of which nothing is known here.
func Params(name string) (list []Param, known bool) {
	for i := range callParams {
		if callParams[i].name == name {
			return parseParams(callParams[i].params), true
		}
	}
	return nil, false
}

func parseParams(s string) (list []Param) {
	for s != "" {
		p := Param{}
		letter := s[0]
		s = s[1:]
		switch letter {
		case 'p':
			p.Kind = Path
		case 't':
			p.Kind = Text
		case 'a':
			p.Kind = Address
		case 'd':
			p.Kind = Dir
		case 'n':
			p.Kind = Number
		case 'o':
			p.Kind = Mode
		case 'O':
			p.Kind, p.Prefix = Open, "O_"
		case 'x':
			p.Kind = Hex
		case 'g':
			p.Kind = Signal
		case 'r':
			p.Kind = Request
		case 'K':
			p.Kind = CloneArgs
		case 'k':
			p.Kind, p.Prefix = Clone, "CLONE_"
		case 's':
			p.Kind, p.Prefix = Choice, "SOCK_"
		case 'f', 'c':
			p.Kind = Flags
			if letter == 'c' {
				p.Kind = Choice
			}
			p.Prefix, s, _ = strings.Cut(s, " ")
		}
		list = append(list, p)
	}
	return list
}
