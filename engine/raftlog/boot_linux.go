package raftlog

import (
	"fmt"
	"os"
	"strings"
)

// BootID names the running boot of this machine: page cache written under
// another one may be lost.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
