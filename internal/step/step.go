// Package step is shared by the packages that know what a sandbox needs (such as ns
// and caps) and the child that does it. A Step is data that prints as one line of the
// plan and compiles to raw system calls.
package step

// Step is one thing that a process of the sandbox does. It is plain data: it can be
// printed, and compared where its fields can, and has no effect until its calls run.
type Step interface {
	// String is the step's line in the plan, and what an error says was being done:
	// lower case, an infinitive without "to", and its object.
	String() string
	// Kind is the step's type for programs that read a plan: a name of lower
	// case words with hyphens. A kind never changes its name or its meaning;
	// all are documented in docs/json.md.
	Kind() string
	// Compile appends the step's system calls.
	Compile(*Asm)
}
