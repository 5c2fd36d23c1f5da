package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"sbx/policies"
	"sbx/policy"
	"sbx/sandbox"
)

// pure is the shipped policy for programs that turn input into output.
func pure() *policy.Policy {
	found, err := policies.Find("pure")
	if err != nil {
		log.Fatal(err)
	}
	p, err := found.Expand(policy.Vars{Home: "/nonexistent", UID: os.Getuid()})
	if err != nil {
		log.Fatal(err)
	}
	return p
}

func ExampleCommand() {
	c := sandbox.Command(pure(), "sh", "-c", "tr a-z A-Z; cat /etc/shadow")
	c.Stdin = strings.NewReader("hello\n")
	out, err := c.Output()
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		fmt.Printf("%s%s%v\n", out, exit.Stderr, exit)
	}
	// Output:
	// HELLO
	// cat: /etc/shadow: No such file or directory
	// exit status 1
}

func ExampleCommandContext() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err := sandbox.CommandContext(ctx, pure(), "sh", "-c", "sleep 1000 & sleep 1000").Run()
	fmt.Println(err, errors.Is(err, context.DeadlineExceeded))
	// Output: signal: killed true
}

func ExampleCmd_Plan() {
	c := sandbox.Command(pure(), "true")
	c.Dir = "/srv"
	_, err := c.Plan()
	var need *sandbox.NeedError
	fmt.Println(errors.As(err, &need), sandbox.ExitStatus(err), sandbox.Hint(err) != "")
	// Output: true 125 true
}

func ExampleHint() {
	err := sandbox.Command(pure(), "no-such-program").Run()
	fmt.Println(sandbox.ExitStatus(err))
	fmt.Println(err)
	// Output:
	// 127
	// run no-such-program: not found in the sandbox
}
