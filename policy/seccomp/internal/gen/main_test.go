package main

import (
	"bytes"
	"os"
	"testing"
)

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
