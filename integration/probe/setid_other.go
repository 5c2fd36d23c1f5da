//go:build !amd64

package main

func oldSetidWays() []setidWay { return nil }
