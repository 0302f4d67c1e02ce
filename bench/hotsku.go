package bench

import (
	"context"
	"io"
)

// HotSKU is Decide with all orders on one item, of which there is enough for
// half of them: what comes later must be refused or backordered, and nothing
// promised twice.
func HotSKU(ctx context.Context, cfg Config, progress io.Writer) (*Report, error) {
	cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	places := cfg.Workload.Locations
	stock := int64(cfg.warmups()+(cfg.total()-cfg.warmups())/2) / int64(places)
	cfg.Workload = Workload{SKUs: 1, Locations: places, Units: max(1, stock)}
	return decide(ctx, "hot-sku", cfg, progress)
}
