package sandbox

import "sbx/policy"

// unsupported refuses what the language can say and this version cannot do
// yet: nothing that a policy asks for is left out in silence.
func unsupported(p *policy.Policy) error {
	f := p.Files
	for _, x := range [...]struct {
		said bool
		what string
	}{
		{p.Limits.Tmp != "", "hold limits.tmp"},
		{len(f.Overlay) > 0, "mount an overlay"},
		{len(f.Directories) > 0, "make directories"},
		{len(f.Sockets) > 0, "allow single sockets"},
		{len(f.Inline) > 0, "make inline files"},
		{len(f.Symlinks) > 0, "make symlinks"},
		{len(f.Paths) > 0, "hold the options of files.path"},
	} {
		if x.said {
			return &NeedError{What: x.what + ": this version of sbx cannot", Hint: "take it out of the policy"}
		}
	}
	return nil
}
