package pebblestate

import (
	"github.com/zeebo/xxh3"

	"anabranch.dev/state"
)

// known is a set of hashes that says for certain that one was never added, and
// perhaps that one was. Most cells and rows that are asked for are of keys never
// seen before: that Pebble doesn't have them is answered here, in a tenth of a
// microsecond instead of ten. It is a split block Bloom filter, as of the
// Parquet format, in parts that grow by four. When there is no memory for another
// it says perhaps more and more often.
type known struct {
	parts []knownPart
	limit int64 // bytes of all parts after the first
}

type knownPart struct {
	blocks []knownBlock
	room   int // how many more hashes keep it precise
}

type knownBlock [8]uint32

const (
	firstBlocks     = 1 << 12
	hashesPerBlock  = 12 // about 21 bits each: one wrong perhaps in 2,000
	knownBlockBytes = 32
)

// knownSalt makes a bit in each word of a block from one hash.
var knownSalt = knownBlock{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

// has says whether the hash may have been added.
func (k *known) has(hash uint64) bool {
	for i := range k.parts {
		if k.parts[i].block(hash).has(uint32(hash)) {
			return true
		}
	}
	return false
}

func (k *known) add(hash uint64) {
	if k.has(hash) {
		return
	}
	if n := len(k.parts); n == 0 || k.parts[n-1].room <= 0 {
		k.expand()
	}
	p := &k.parts[len(k.parts)-1]
	p.room--
	b := p.block(hash)
	for i, salt := range knownSalt {
		b[i] |= 1 << (uint32(hash) * salt >> 27)
	}
}

// expand adds a part, if there is memory for one at least as large as the last.
func (k *known) expand() {
	blocks, least, all := firstBlocks, 0, 0
	for _, p := range k.parts {
		least = len(p.blocks)
		blocks, all = 4*least, all+least
	}
	for least > 0 && int64(all+blocks)*knownBlockBytes > k.limit {
		if blocks /= 2; blocks < least {
			return
		}
	}
	k.parts = append(k.parts, knownPart{blocks: make([]knownBlock, blocks), room: blocks * hashesPerBlock})
}

func (p *knownPart) block(hash uint64) *knownBlock {
	return &p.blocks[(hash>>32)*uint64(len(p.blocks))>>32]
}

func (b *knownBlock) has(hash uint32) bool {
	for i, salt := range knownSalt {
		if b[i]&(1<<(hash*salt>>27)) == 0 {
			return false
		}
	}
	return true
}

// cellHash names a cell in a known set.
func cellHash(id state.CellID) uint64 {
	return xxh3.HashStringSeed(id.Key, uint64(id.Stage)<<16|uint64(id.Shard))
}

// rowHash names a row of a cell.
func rowHash(cell uint64, table state.TableID, row string) uint64 {
	return xxh3.HashStringSeed(row, cell^uint64(table)*0x9e3779b97f4a7c15)
}
