//go:build !plantedbugs

// Package planted puts known bugs into test builds, to check that the checkers
// find them. In every other build its functions are constants and what they
// guard is compiled away.
package planted

// Is reports whether the bug with this name is planted.
func Is(string) bool { return false }

// MapOrder reports whether the bug with this name is planted, and if so leaves
// the list in the order that ranging over a map would give.
func MapOrder[T any](string, []T) bool { return false }
