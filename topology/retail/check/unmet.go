package check

import "anabranch.dev/operators/inventory"

// checkUnmet checks that every customer who is known to have asked in vain is
// counted once, where he asked. Who asked is forgotten before the count is.
func checkUnmet(c *cell, vs *Violations) error {
	asked := map[string]int64{}
	err := each(c, "askers", func(_ string, a *inventory.Asker) {
		asked[a.Location]++
		if a.Units <= 0 {
			vs.addf(CodeUnmet, c.id.Key, "%s: a wish for %d units", a.Location, a.Units)
		}
	})
	if err != nil {
		return err
	}
	counted := map[string]int64{}
	err = each(c, "unmet_demand", func(_ string, u *inventory.Unmet) {
		counted[u.Location] += u.Customers
		if u.Customers < 0 || u.Anonymous < 0 || u.Units < u.Customers+u.Anonymous {
			vs.addf(CodeUnmet, c.id.Key, "%s on %s: %d customers, %d anonymous, %d units", u.Location, u.Day, u.Customers, u.Anonymous, u.Units)
		}
	})
	if err != nil {
		return err
	}
	for location, n := range asked {
		if counted[location] < n {
			vs.addf(CodeUnmet, c.id.Key, "%s: %d customers asked, %d are counted", location, n, counted[location])
		}
	}
	return nil
}
