//go:build !linux

package apachekafka

import "syscall"

// dieWithParent keeps the terminal's Ctrl-C from a process: whoever started it
// ends it. Only Linux can tie it to its parent's life.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
