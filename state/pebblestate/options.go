package pebblestate

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/state"
)

// Options say where a store is and how much it may use. Dir, Tables and Codec
// are required.
type Options struct {
	Dir    string
	Tables []*state.Table // all tables of the topology and of the core
	Codec  state.Codec

	FS  vfs.FS       // default: the operating system's files
	Log *slog.Logger // where Pebble's complaints go; default: nowhere

	HotBytes   int64         // decoded rows kept in memory, about; default 512 MiB
	QueueBytes int64         // changes waiting to be collected; Commit blocks above it; default 32 MiB
	CacheBytes int64         // Pebble's cache of blocks; default 32 MiB
	FlushBytes int64         // encoded rows collected before they are written at once; default 1/4 of HotBytes, 1 to 64 MiB
	FlushEvery time.Duration // longest time before they are: what is deleted meanwhile is never written; default 5 s
	Gather     time.Duration // how long changes wait to be collected and encoded, many at once; default 100 ms

	// Knows is the highest feature level of rows that [Inspect] decodes; 0: any.
	Knows uint8

	limits limits // default: defaultLimits
}

// Validate reports every fault.
func (o *Options) Validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("no directory"))
	}
	if o.Codec == nil {
		errs = append(errs, errors.New("no codec"))
	}
	seen := make(map[state.TableID]*state.Table, len(o.Tables))
	for _, t := range o.Tables {
		if other := seen[t.ID]; other != nil {
			errs = append(errs, fmt.Errorf("tables %s and %s have the same id", other, t))
		}
		seen[t.ID] = t
	}
	for _, n := range []int64{o.HotBytes, o.QueueBytes, o.CacheBytes, o.FlushBytes, int64(o.FlushEvery), int64(o.Gather)} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("negative limit %d", n))
		}
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	const mib = 1 << 20
	o.HotBytes = cmp.Or(o.HotBytes, 512*mib)
	o.QueueBytes = cmp.Or(o.QueueBytes, 32*mib)
	o.CacheBytes = cmp.Or(o.CacheBytes, 32*mib)
	o.FlushBytes = cmp.Or(o.FlushBytes, min(max(o.HotBytes/4, mib), 64*mib))
	o.FlushEvery = cmp.Or(o.FlushEvery, 5*time.Second)
	o.Gather = cmp.Or(o.Gather, 100*time.Millisecond)
	o.limits = cmp.Or(o.limits, defaultLimits)
	if o.FS == nil {
		o.FS = defaultFS()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return o
}
