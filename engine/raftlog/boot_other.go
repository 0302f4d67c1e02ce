//go:build !linux

package raftlog

import (
	"strconv"
	"time"
)

// BootID names the running boot of this machine. Where the system tells none,
// every start of the process counts as a boot, which is the careful answer.
func BootID() (string, error) {
	return strconv.FormatInt(started.UnixNano(), 36), nil
}

var started = time.Now()
