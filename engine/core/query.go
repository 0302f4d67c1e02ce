package core

import (
	"fmt"

	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// reader is a query's read access. Its methods beyond operators.Reader are
// those of call, which it does not reach.
type reader struct {
	core *Core
	key  string
	cell state.Cell
}

// Query answers a point query of a stage for one key, as of the last entry
// applied. A nil answer means there is nothing under the key. A shard that is on
// its way to another group may have gone on there, and is not asked.
func (c *Core) Query(stage, query, key string, q state.Visitable) (answer state.Visitable, err error) {
	if shard := c.shardOf(key); !c.serves(shard) {
		return nil, fmt.Errorf("core: query %s/%s: shard %d: %w", stage, query, shard, ErrElsewhere)
	}
	return c.QueryStale(stage, query, key, q)
}

// QueryStale is [Core.Query] for those who take an answer that may be old.
func (c *Core) QueryStale(stage, query, key string, q state.Visitable) (answer state.Visitable, err error) {
	port := c.plan.Query(stage, query)
	if port == nil {
		return nil, fmt.Errorf("core: stage %s answers no query %q", stage, query)
	}
	if !validKey(key) {
		return nil, fmt.Errorf("core: query %s/%s: %s", stage, query, operators.CodeKeyInvalid)
	}
	shard := c.shardOf(key)
	if !c.owns(shard) {
		return nil, fmt.Errorf("core: query %s/%s: shard %d: %w", stage, query, shard, ErrElsewhere)
	}
	r := &reader{core: c, key: key, cell: c.store.Cell(state.CellID{Shard: shard, Stage: c.plan.Stage(stage).ID, Key: key})}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *state.Fault:
			panic(p)
		default:
			err = fmt.Errorf("core: query %s/%s: %s", stage, query, operators.CodeOperatorPanic)
		}
	}()
	return port.Ask(r, q)
}

func (r *reader) Key() string         { return r.key }
func (r *reader) LogTime() state.Time { return r.core.group.LogTime }
func (r *reader) Row(t *state.Table, row string) state.Visitable {
	return r.cell.Get(t, row)
}
func (r *reader) ScanRows(t *state.Table, prefix, from string, fn func(string, state.Visitable) bool) {
	r.cell.Scan(t, prefix, from, fn)
}
func (r *reader) CountRows(t *state.Table) int { return r.cell.Count(t) }
func (r *reader) BroadcastRow(t *state.Table, row string) state.Visitable {
	return r.core.broadcastCell(t).Get(t, row)
}
func (r *reader) ScanBroadcast(t *state.Table, prefix, from string, fn func(string, state.Visitable) bool) {
	r.core.broadcastCell(t).Scan(t, prefix, from, fn)
}

// inputOf finds the input that feeds a port, or nil.
func (c *Core) inputOf(port uint32) *topology.Input {
	in := c.plan.In(port)
	if in == nil {
		return nil
	}
	if i := c.plan.Input(in.Name); i != nil && i.Port == in {
		return i
	}
	return nil
}

func (c *Core) groupCellID() state.CellID {
	return state.CellID{Shard: GroupShard(c.cfg.Shards, c.cfg.Group), Stage: idGroup}
}
