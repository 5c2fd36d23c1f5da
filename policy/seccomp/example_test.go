package seccomp_test

import (
	"fmt"

	"sbx/policy/seccomp"
)

// Answers says what a policy answers to each call of an architecture. Deny
// beats allow, and a rule says more about a call's arguments.
func ExamplePolicy_Answers() {
	p := &seccomp.Policy{
		Allow: []string{"read", "write", "personality"},
		Deny:  []string{"write"},
		Rules: []seccomp.Rule{{
			Syscalls: []string{"socket"},
			When:     []string{"arg0 == AF_UNIX"},
			Action:   seccomp.Action{Kind: seccomp.Allow},
		}},
	}
	answers, err := p.Answers(seccomp.AMD64)
	if err != nil {
		fmt.Println(err)
		return
	}
	const read, write, socket, unix, inet = 0, 1, 41, 1, 2
	fmt.Println("read:", answers.Decide(read, [6]uint64{}).Action)
	fmt.Println("write:", answers.Decide(write, [6]uint64{}).Action)
	fmt.Println("socket(AF_UNIX):", answers.Decide(socket, [6]uint64{unix}).Action)
	fmt.Println("socket(AF_INET):", answers.Decide(socket, [6]uint64{inet}).Action)
	// Output:
	// read: allow
	// write: errno:EPERM
	// socket(AF_UNIX): allow
	// socket(AF_INET): errno:EPERM
}

// A group stands for the calls in it.
func ExampleExpand() {
	calls, err := seccomp.Expand("@reboot")
	fmt.Println(calls, err)
	// Output:
	// [kexec_file_load kexec_load reboot] <nil>
}

// A condition compares arguments with numbers or the kernel's names for them.
func ExampleParseCondition() {
	c, err := seccomp.ParseCondition("arg0 == AF_UNIX && arg1 & 0xff == SOCK_STREAM")
	fmt.Println(c, err)
	_, err = seccomp.ParseCondition("arg7 == 0")
	fmt.Println(err)
	// Output:
	// arg0 == AF_UNIX && arg1 & 0xff == SOCK_STREAM <nil>
	// condition "arg7 == 0": want an argument, arg0 to arg5, not "arg7 == 0"
}
