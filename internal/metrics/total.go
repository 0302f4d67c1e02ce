package metrics

// Total adds up a metric over all its labels: a histogram's sum and count of
// observations, or a counter's or gauge's value. A metric that does not exist
// is 0.
func (r *Registry) Total(name string) (sum float64, count uint64) {
	families, err := r.reg.Gather()
	if err != nil {
		return 0, 0 // what is invalid shows at every scrape
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil {
				sum += h.GetSampleSum()
				count += h.GetSampleCount()
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum, count
}
