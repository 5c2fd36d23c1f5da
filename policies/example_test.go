package policies_test

import (
	"fmt"

	"sbx/policies"
	"sbx/policy"
)

// The shipped policies are there by name; Find gives them resolved.
func ExampleFind() {
	fmt.Println(policies.Names()[:9])
	p, err := policies.Find("web")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Summary)
	fmt.Println("network:", p.Namespaces.Net)
	if p, err = p.Expand(policy.Vars{Home: "/home/u", CWD: "/srv/site", User: "u", UID: 1000}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("tmpfs:", p.Files.Tmpfs)
	// Output:
	// [agent base browser build cargo commit db debug default]
	// Network servers: nginx as root on port 80 or as a user on a high port
	// network: host
	// tmpfs: [/home/u /run /tmp /var/lib/nginx /var/tmp]
}
