package oci

// ActionOf is for tests that, since they use package policy, are another package.
var ActionOf = actionOf
