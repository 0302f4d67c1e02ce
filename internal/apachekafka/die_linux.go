package apachekafka

import "syscall"

// dieWithParent has the kernel kill a process whose parent is gone, and keeps
// the terminal's Ctrl-C from it: whoever started it ends it.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
