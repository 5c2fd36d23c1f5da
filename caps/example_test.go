package caps_test

import (
	"fmt"

	"sbx/caps"
)

// Names are those of capabilities(7), in lower case and without the prefix.
func ExampleParse() {
	bind, err := caps.Parse("net_bind_service")
	if err != nil {
		fmt.Println(err)
		return
	}
	setuid, err := caps.Parse("setuid")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(bind | setuid)
	fmt.Println(caps.Set(0))
	_, err = caps.Parse("net_bind")
	fmt.Println(err)
	// Output:
	// setuid,net_bind_service
	// none
	// unknown capability "net_bind"
}

// A step is data: it prints as a line of the plan, and does nothing until the
// child makes its system calls.
func ExampleReduce() {
	bind, err := caps.Parse("net_bind_service")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(caps.Reduce{Keep: bind, Who: "target"})
	fmt.Println(caps.Ambient{})
	// Output:
	// reduce the target's capabilities to net_bind_service
	// empty the ambient set
}
