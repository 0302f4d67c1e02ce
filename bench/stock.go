package bench

import (
	"context"

	"anabranch.dev/connectors"
	"anabranch.dev/operators/inventory"
)

// oversold adds up, over all items, what is promised above what is there.
func oversold(ctx context.Context, c connectors.Cluster, skus int) (int64, error) {
	var sum int64
	for i := range skus {
		a, _, err := c.Ask(ctx, "inventory", "stock", sku(i), &inventory.StockQuestion{}, connectors.Linearizable)
		if err != nil {
			return 0, err
		}
		for _, p := range a.(*inventory.StockAnswer).Places {
			sum += max(0, p.Reserved-p.OnHand)
		}
	}
	return sum, nil
}
