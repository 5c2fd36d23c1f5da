package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"sbx/policy/seccomp"
)

// TestGroupsVersion: what users are told about the groups is what their file
// says.
func TestGroupsVersion(t *testing.T) {
	data, err := os.ReadFile("groups.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("with the members they have in v%d", seccomp.GroupsVersion)
	if !bytes.Contains(data, []byte(want)) {
		t.Errorf("groups.txt does not say %q", want)
	}
}

// TestCurrent makes sure that the tables are what the generator makes.
func TestCurrent(t *testing.T) {
	files, err := tables(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run go generate ./policy/seccomp", name)
		}
	}
}
