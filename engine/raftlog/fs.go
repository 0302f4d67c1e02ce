//go:build !faults

package raftlog

import (
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
)

// newFS and newMeta are the disk.
func newFS() types.VFS { return fs.New() }

func newMeta() types.MetaStore { return &metadb.BoltMetaDB{} }
