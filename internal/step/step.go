// Package step is the vocabulary between those who know what a sandbox needs
// (packages ns and caps) and the child that makes it so: a Step is data that
// prints as one line of the plan and compiles to raw system calls.
package step

// Step is one thing the child does. A Step is plain data: comparable where
// its fields are, printable, and without side effect until its calls run.
type Step interface {
	// String is the step's line in the plan, and what an error says was
	// being done: lower case, an infinitive without "to", the object.
	String() string
	// Kind is the step's type for programs that read a plan: a name of lower
	// case words with hyphens. A kind never changes its name or its meaning;
	// all are documented in docs/json.md.
	Kind() string
	// Compile appends the step's system calls.
	Compile(*Asm)
}
