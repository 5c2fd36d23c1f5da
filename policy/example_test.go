package policy_test

import (
	"errors"
	"fmt"

	"sbx/policy"
)

// A policy is text that extends others. Parse reads one file, Resolve adds what
// it extends, and Expand puts the caller's directories in.
func Example() {
	texts := map[string]string{
		"base": "version = 1\n[files]\nread = ['/usr']\ntmpfs = ['/tmp']\n[expect]\n",
		"mine": "version = 1\nextends = ['base']\n[files]\nwrite = ['~/notes']\nread = ['!/usr', '/opt/tool']\n[expect]\n",
	}
	find := func(name string, _ *policy.Policy) (*policy.Policy, error) {
		return policy.Parse(name, []byte(texts[name]))
	}
	p, err := find("mine", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if p, err = policy.Resolve(p, find); err != nil {
		fmt.Println(err)
		return
	}
	if p, err = p.Expand(policy.Vars{Home: "/home/u", User: "u", UID: 1000}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("read", p.Files.Read)
	fmt.Println("write", p.Files.Write)
	fmt.Println("tmpfs", p.Files.Tmpfs)
	// Output:
	// read [/opt/tool]
	// write [/home/u/notes]
	// tmpfs [/tmp]
}

// An error says where the mistake is, and what may have been meant.
func ExampleParse() {
	_, err := policy.Parse("mine.toml", []byte("version = 1\n[files]\nraed = ['/usr']\n[expect]\n"))
	var e *policy.Error
	if errors.As(err, &e) {
		fmt.Println("error:", e)
		fmt.Println("hint:", e.Hint())
	}
	// Output:
	// error: mine.toml:3:1: unknown key "files.raed"
	// hint: did you mean "files.read"?
}

// Compare says what one policy allows and another does not.
func ExampleCompare() {
	parse := func(text string) *policy.Policy {
		p, err := policy.Parse("p", []byte("version = 1\n[files]\n"+text+"\n[expect]\n"))
		if err != nil {
			fmt.Println(err)
		}
		return p
	}
	d, err := policy.Compare(parse("read = ['/srv']"), parse("write = ['/srv']"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Verdict())
	// Output:
	// wider
}

// A question mark in front of a value says that the run goes on without it.
func ExampleOptional() {
	fmt.Println(policy.Optional("?/opt/tool"))
	fmt.Println(policy.Optional("/usr"))
	// Output:
	// /opt/tool true
	// /usr false
}
