// Package faultdisk is the way to the disk and to the wall clock for everything
// that must survive: log, votes, snapshots, state and the node's identity.
//
// In every normal build its functions are those of package os, by another name.
// With the build tag faults, files below a folder that was attached lie on a
// [Disk] that knows what was synced and what was not: its contents can be had as
// a loss of power at that moment would leave them, each access can be made to
// fail, syncs can be slow, and the clock can be stepped. A process that was
// started with ANABRANCH_FAULTS takes orders from a file; see control.go.
//
// The disk is stricter than most: an entry of a directory counts once that
// directory is synced, whatever was synced in the file; of what was not synced
// any sectors may be there; and what a sync failed for never gets there, though
// it can be read until the machine stops.
//
// It owns no goroutine. Start at [Attach]; names and sectors are in tree.go.
package faultdisk
