package oci

// ActionOf is for tests that, since they use package policy, stand outside.
var ActionOf = actionOf
