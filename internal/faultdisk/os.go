//go:build !faults

package faultdisk

import (
	"errors"
	"os"
	"time"
)

// File is an open file.
type File = os.File

// OpenFile is os.OpenFile, and so on.
func OpenFile(path string, flag int, perm os.FileMode) (*File, error) {
	return os.OpenFile(path, flag, perm)
}

// Create makes an empty file, or empties one.
func Create(path string) (*File, error) { return os.Create(path) }

// Open opens a file to read it.
func Open(path string) (*File, error) { return os.Open(path) }

// ReadFile reads a whole file.
func ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

// Mkdir makes a directory.
func Mkdir(path string, perm os.FileMode) error { return os.Mkdir(path, perm) }

// MkdirAll makes a directory and those above it.
func MkdirAll(path string, perm os.FileMode) error { return os.MkdirAll(path, perm) }

// Rename moves a file or directory.
func Rename(from, to string) error { return os.Rename(from, to) }

// Link gives a file a second name.
func Link(from, to string) error { return os.Link(from, to) }

// Remove removes a file or an empty directory.
func Remove(path string) error { return os.Remove(path) }

// RemoveAll removes a file, or a directory with all in it.
func RemoveAll(path string) error { return os.RemoveAll(path) }

// SyncDir makes a directory's entries durable.
func SyncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// ClockStep is by how much the wall clock was set forward.
func ClockStep() time.Duration { return 0 }

// BootID is the boot id of a disk's machine, given the true one.
func BootID(id string) string { return id }
