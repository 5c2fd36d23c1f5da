package rootfs

// Writes says whether the target may write to the host's file at that path inside.
func (t *Tree) Writes(name string) bool {
	k := t.At(name).Kind
	return k == Write || k == Overlay
}
