package main

// commands is the grammar of everything that is not a launch.
type commands struct {
}

func runCommand(args []string) int {
	return report(&usageError{"no such command: " + args[0], ""})
}
