package core

import (
	"encoding/binary"
	"slices"
	"sort"
	"strconv"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

func (c *Core) outboxCell(shard state.Shard) state.Cell {
	return c.open.outbox.at(c, shard, idOutbox, "")
}

// shardOutbox is the cached head of a shard's outbox; its row is written when
// the entry ends.
type shardOutbox struct {
	head  outboxHead
	dirty bool
}

func (c *Core) loadOutbox(shard state.Shard) {
	c.outboxes[shard] = shardOutbox{head: outboxHead{Next: 1}}
	if row, ok := c.outboxCell(shard).Get(tabOutHead, "").(*outboxHead); ok {
		c.outboxes[shard].head = *row
	}
	h := &c.outboxes[shard].head
	for n := h.Acked + 1; n < h.Next; n++ {
		if row := c.outboxCell(shard).Get(tabOutbox, number8(n)); row != nil {
			c.outboxRecords++
			c.outboxBytes += outboxBytes(row)
		}
	}
}

// changeOutbox is a shard's head, to be changed.
func (c *Core) changeOutbox(shard state.Shard) *outboxHead {
	o := &c.outboxes[shard]
	if !o.dirty {
		o.dirty = true
		c.outboxesDirty = append(c.outboxesDirty, shard)
	}
	return &o.head
}

// flushOutboxes writes the heads that have changed.
func (c *Core) flushOutboxes() {
	for _, shard := range c.outboxesDirty {
		o := &c.outboxes[shard]
		o.dirty = false
		head := o.head
		c.outboxCell(shard).Set(tabOutHead, "", &head, 0)
	}
	c.outboxesDirty = c.outboxesDirty[:0]
}

// recordOverhead is about what a record takes beside its payload.
const recordOverhead = 512

func outboxBytes(row state.Visitable) int64 {
	return recordOverhead + int64(row.(*operators.Record).Bytes)
}

// record puts an event that leads to Kafka into the shard's outbox.
func (c *Core) record(shard state.Shard, stage, key string, sink *topology.SinkLink, e *effect, cause *operators.Cause) {
	c.put(shard, &operators.Record{Topic: sink.Topic, Type: e.out.Name, Port: uint64(e.out.ID), Key: e.key, ID: e.id,
		Number: e.number, Cause: *cause, Bytes: e.bytes, Payload: state.Nested{Value: e.payload}})
	if !sink.Indexed {
		return
	}
	bucket := c.hourOf(c.group.LogTime)
	cell := c.open.decision.at(c, shard, idDecision, bucket)
	expires := c.group.LogTime + tabDecision.Lifetime
	cell.Set(tabDecision, decisionRowKey(e.id), &decisionRow{Stage: stage, Key: key}, expires)
	if !c.open.decision.noted(shard) { // later ones of the bucket expire later
		r := c.registerOf(cell, shard, idDecision, bucket)
		r.expireAt(expires, tabDecision.Lifetime)
		r.close(c)
	}
}

// hourOf is an hour of log time as decision ids name it.
func (c *Core) hourOf(t state.Time) string {
	if hour := t / state.Hour; hour != c.hour || c.hourName == "" {
		c.hour, c.hourName = hour, strconv.FormatInt(int64(hour), 16)
	}
	return c.hourName
}

// put numbers a record and keeps it until it is acknowledged.
func (c *Core) put(shard state.Shard, r *operators.Record) {
	h := c.changeOutbox(shard)
	c.group.Position++
	r.Shard, r.Outbox, r.Position, r.Time = uint64(shard), h.Next, c.group.Position, c.group.LogTime
	h.Next++
	c.outboxCell(shard).Set(tabOutbox, number8(r.Outbox), r, 0)
	c.outboxRecords++
	c.outboxBytes += outboxBytes(r)
	c.out.Records = append(c.out.Records, r)
}

// Pending visits every record that is not known to be in Kafka, in the order of
// emission.
func (c *Core) Pending(fn func(r *operators.Record) bool) {
	var all []*operators.Record
	c.eachShard(func(shard state.Shard) {
		// By number, and not by a scan: that would walk over all that was
		// acknowledged lately and still leaves a trace on disk.
		h := &c.outboxes[shard].head
		for n := h.Acked + 1; n < h.Next; n++ {
			if r, ok := c.outboxCell(shard).Get(tabOutbox, number8(n)).(*operators.Record); ok {
				all = append(all, r)
			}
		}
	})
	sort.Slice(all, func(i, j int) bool { return all[i].Position < all[j].Position })
	for _, r := range all {
		if !fn(c.decodeRecord(r)) {
			return
		}
	}
}

// decodeRecord makes the payload of a record read back from disk readable. The
// row itself is shared and stays as it is.
func (c *Core) decodeRecord(r *operators.Record) *operators.Record {
	if r.Payload.Value != nil {
		return r
	}
	readable := *r
	c.decode(&readable.Payload, func() state.Visitable { return newPayload(c.plan, r) })
	return &readable
}

func newPayload(plan *topology.Plan, r *operators.Record) state.Visitable {
	if r.Topic == DeadLetterTopic {
		return &operators.DeadLetter{}
	}
	if out := plan.Out(uint32(r.Port)); out != nil {
		return out.New()
	}
	return nil // of a port that the topology no longer has
}

// applyAck trims an outbox up to what is known to be in Kafka.
func (c *Core) applyAck(a *Ack) {
	shard := state.Shard(a.Shard)
	if !c.owns(shard) {
		return // it has left, with everything acknowledged
	}
	cell, h := c.outboxCell(shard), &c.outboxes[shard].head
	if a.Through >= h.Next {
		c.breach("ack_beyond_outbox")
		return
	}
	c.group.Progress = max(c.group.Progress, a.Progress)
	if a.Through <= h.Acked {
		return
	}
	if planted.Is("core: acknowledgement trims one too many") && a.Through+1 < h.Next {
		cell.Delete(tabOutbox, number8(a.Through+1))
	}
	for n := h.Acked + 1; n <= a.Through; n++ {
		key := number8(n)
		if row := cell.Get(tabOutbox, key); row != nil {
			c.outboxRecords--
			c.outboxBytes -= outboxBytes(row)
			cell.Delete(tabOutbox, key)
		}
	}
	c.changeOutbox(shard).Acked = a.Through
	c.out.Trimmed = append(c.out.Trimmed, *a)
}

// conflate keeps the latest event per record key until the group flushes.
func (c *Core) conflate(sink *topology.SinkLink, e *effect) {
	k := &c.call
	cell := c.conflateCell(k.shard)
	if cell.Count(tabConflate) == 0 {
		c.conflated = append(c.conflated, k.shard)
	}
	cell.Set(tabConflate, conflateKey(e.out, e.key), &conflateRow{Stage: uint64(k.stage.ID), Key: k.key,
		Record: operators.Record{Topic: sink.Topic, Type: e.out.Name, Port: uint64(e.out.ID), Key: e.key, Cause: k.m.Cause,
			Bytes: e.bytes, Payload: state.Nested{Value: e.payload}}}, 0)
	if c.group.Conflate == 0 {
		c.group.Conflate = c.group.LogTime + topology.ConflateEvery
	}
}

func (c *Core) conflateCell(shard state.Shard) state.Cell {
	return c.open.conflate.at(c, shard, idConflate, "")
}

func (c *Core) loadConflated(shard state.Shard) {
	if c.conflateCell(shard).Count(tabConflate) > 0 {
		c.conflated = append(c.conflated, shard)
	}
}

func conflateKey(out *operators.OutPort, key string) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], out.ID)
	return string(b[:]) + key
}

// flushConflated moves what was conflated to the outbox, a bounded number of
// records at a time; the rest is due at once.
func (c *Core) flushConflated() {
	slices.Sort(c.conflated) // not in the order in which they were touched, which a restart forgets
	left := conflateMax
	for len(c.conflated) > 0 && left > 0 {
		n, more := c.flushShard(c.conflated[0], left)
		left -= n
		if !more {
			c.conflated = slices.Delete(c.conflated, 0, 1)
		}
	}
	c.group.Conflate = 0
	if len(c.conflated) > 0 {
		c.group.Conflate = c.group.LogTime
	}
}

// conflated is a record that is being flushed.
type conflated struct {
	row    string
	latest *conflateRow
}

// flushShard flushes up to limit records of a shard and reports whether any are
// left.
func (c *Core) flushShard(shard state.Shard, limit int) (flushed int, more bool) {
	cell := c.conflateCell(shard)
	limit = min(limit, cell.Count(tabConflate))
	flushing := c.flushing[:0]
	cell.Scan(tabConflate, "", "", func(row string, v state.Visitable) bool {
		flushing = append(flushing, conflated{row, v.(*conflateRow)})
		return len(flushing) < limit
	})
	c.flushing = flushing
	for i := range flushing {
		l := flushing[i].latest
		cell.Delete(tabConflate, flushing[i].row)
		stage := c.stages[state.StageID(l.Stage)]
		if stage == nil {
			continue // the stage is gone from the topology, and its topic with it
		}
		r := *c.decodeRecord(&l.Record) // after a restart it is bytes
		owner := c.registerOf(c.store.Cell(state.CellID{Shard: shard, Stage: stage.ID, Key: l.Key}), shard, stage.ID, l.Key)
		r.Number, r.ID = c.nextNumber(owner, stage, r.Topic, r.Key)
		owner.close(c)
		c.put(shard, &r)
	}
	clear(flushing)
	return len(flushing), cell.Count(tabConflate) > 0
}

// FindDecision says which stage and key made a decision. It is good for
// [topology.IndexLifetime].
func (c *Core) FindDecision(id string) (stage, key string, ok bool, err error) {
	shard, bucket, ok := ParseDecisionID(id)
	if !ok || int(shard) >= c.cfg.Shards {
		return "", "", false, nil
	}
	if !c.serves(shard) {
		return "", "", false, ErrElsewhere
	}
	row, ok := c.store.Cell(state.CellID{Shard: shard, Stage: idDecision, Key: bucket}).Get(tabDecision, decisionRowKey(id)).(*decisionRow)
	if !ok {
		return "", "", false, nil
	}
	return row.Stage, row.Key, true, nil
}

// decisionRowKey is what of a decision id the index's cell does not say already:
// the hash.
func decisionRowKey(id string) string { return id[12:] }

// ParseDecisionID reads from a decision id in which shard it was made, and in
// which hour of log time (in hex).
func ParseDecisionID(id string) (shard state.Shard, hour string, ok bool) {
	if len(id) != 32 || id[:2] != "d-" {
		return 0, "", false
	}
	s, err := strconv.ParseUint(id[2:6], 16, 16)
	if err != nil {
		return 0, "", false
	}
	h, err := strconv.ParseInt(id[6:12], 16, 64)
	if err != nil {
		return 0, "", false
	}
	return state.Shard(s), strconv.FormatInt(h, 16), true
}
