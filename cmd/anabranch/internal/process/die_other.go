//go:build !linux

package process

import "syscall"

// dieWithParent does nothing: only Linux can tie a process to its parent's life.
func dieWithParent() *syscall.SysProcAttr { return nil }
