//go:build !faults

package pebblestate

import "github.com/cockroachdb/pebble/v2/vfs"

// defaultFS is the disk.
func defaultFS() vfs.FS { return vfs.Default }
