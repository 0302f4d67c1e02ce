package acceptance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"anabranch.dev/operators/event"
	"anabranch.dev/topology/retail"
)

const (
	rushStores = 8
	rushRate   = 2000 // orders per second
)

func rushStore(i int) string { return fmt.Sprint("R", i+1) }

// rush: the shoppers are here, the goods are gone. Half of the web shop's units
// are kept back at first.
func (s *telling) rush() {
	s.t.Helper()
	s.write(retail.TopicStock, "stock.withheld", "K1", `"sku":"H","location":"WEB","pool":"web","quantity":50,"document":"K1"`)
	s.flush()
	s.until("half of the pool is withheld", func() bool { l := s.levels["H/WEB"]; return l.Withheld == 50 && l.ATP == 50 })

	s.apart()
	offered := s.offer("H-", 1000)
	s.strike("H", "rush, first orders", func() bool { return len(s.chosen("H-")) >= 50 })
	s.undecided("H-", 1000)
	s.stock("H", "no more promised than there is", func(places map[string]stockLevel, _ []unmet) bool { return len(places) == rushStores+1 })
	s.until("1,000 orders are decided", func() bool { return len(s.chosen("H-")) >= 1000 })
	s.t.Logf("1,000 orders offered at %.0f/s", <-offered)
	s.quiet()
	want := map[string]int{"allocation.decided": 250, "allocation.failed": 750, "WEB": 50}
	for i := range rushStores {
		want[rushStore(i)] = 25
	}
	s.became("H-", want)
	s.rushAlert()
	s.stock("H", "only withheld units left", func(places map[string]stockLevel, _ []unmet) bool {
		return nothingLeft(places, 50)
	})

	s.apart()
	s.write(retail.TopicStock, "stock.released", "K1-end", `"sku":"H","location":"WEB","pool":"web","quantity":50,"document":"K1"`)
	s.flush()
	s.until("50 more are to be had", func() bool { return s.levels["H/WEB"].ATP == 50 })
	<-s.offer("I-a", 30)
	s.until("some of 60 orders are decided", func() bool { return len(s.chosen("I-")) >= 5 })
	offered = s.offer("I-b", 30)
	s.strike(shoe, "rush, orders after the release", func() bool { return true })
	s.undecided("I-", 60)
	<-offered
	s.until("60 orders are decided", func() bool { return len(s.chosen("I-")) >= 60 })
	s.quiet()
	s.became("I-", map[string]int{"allocation.decided": 50, "allocation.failed": 10, "WEB": 50})
	s.rushAlert()
	s.stock("H", "nothing left", func(places map[string]stockLevel, _ []unmet) bool { return nothingLeft(places, 0) })
}

// undecided wants some orders not to be decided yet: else the kill was too late.
func (s *telling) undecided(prefix string, orders int) {
	s.t.Helper()
	if n := len(s.chosen(prefix)); n >= orders {
		s.t.Errorf("all %d orders were decided before the leader was killed", n)
	}
}

// offer places orders of one H each from all channel classes in turn, at
// rushRate, and tells the rate when all are written.
func (s *telling) offer(prefix string, orders int) <-chan float64 {
	done, ended := make(chan float64, 1), make(chan struct{})
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	s.t.Cleanup(func() { <-ended })
	go func() {
		defer close(ended)
		defer cancel()
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		began := time.Now()
		for i := 0; i < orders; {
			<-tick.C
			for due := time.Since(began).Seconds() * rushRate; i < orders && float64(i) < due; i++ {
				id := fmt.Sprintf("%s%04d", prefix, i)
				text := envelope("order.placed", id) + fmt.Sprintf(`"order":%q,"channel":%q,"location":"WEB","currency":"CNY",`+
					`"lines":[{"line":1,"sku":"H","quantity":1,"unit_price":"899.00"}]}`, id, event.ChannelClasses[i%len(event.ChannelClasses)])
				if err := s.again(ctx, retail.TopicSales, id, text); err != nil {
					s.t.Errorf("order %s: %v", id, err)
					return
				}
			}
		}
		rate := float64(orders) / time.Since(began).Seconds()
		if err := s.producer.Flush(ctx); err != nil {
			s.t.Errorf("orders: %v", err)
		}
		done <- rate
	}()
	return done
}

// chosen are the decisions about orders whose number begins with a prefix.
func (s *telling) chosen(prefix string) (list []decided) {
	for order, records := range s.said {
		if strings.HasPrefix(order, prefix) {
			list = append(list, records...)
		}
	}
	return list
}

// became wants each order decided once, so many of each type and from each
// place.
func (s *telling) became(prefix string, want map[string]int) {
	s.t.Helper()
	got := map[string]int{}
	list := s.chosen(prefix)
	for i := range list {
		if got[list[i].Type]++; list[i].Type == "allocation.decided" {
			got[source(&list[i])]++
		}
	}
	if !maps.Equal(got, want) {
		s.t.Errorf("orders %s: %v; want %v", prefix, got, want)
	}
	for order, records := range s.said {
		if strings.HasPrefix(order, prefix) && (len(records) != 1 || records[0].Number != 1) {
			s.t.Errorf("order %s has %d records; want one, number 1", order, len(records))
		}
	}
}

// rushAlert wants one alert: the web pool is empty, stores have some.
func (s *telling) rushAlert() {
	s.t.Helper()
	alerts := s.alertsOf("H")
	if len(alerts) != 1 {
		s.t.Fatalf("alerts = %+v; want one", alerts)
	}
	a := &alerts[0]
	var there int64
	for _, p := range a.Places {
		there += p.ATP
		if p.ATP < 1 || p.ATP > 25 {
			s.t.Errorf("alert names %s with %d; want 1 to 25", p.Location, p.ATP)
		}
	}
	if a.Kind != "out_of_stock" || a.Location != "WEB" || a.Here != 0 || a.Elsewhere < 1 || a.Elsewhere != there {
		s.t.Errorf("alert = %+v; want none in the web pool, some in stores", a)
	}
	if !slices.IsSortedFunc(a.Places, func(x, y struct {
		Location string
		ATP      int64
	}) int {
		return int(y.ATP - x.ATP)
	}) {
		s.t.Errorf("alert = %+v; want the places with most first", a)
	}
}

// nothingLeft says whether no unit of H may be promised, with so many withheld
// and all others reserved.
func nothingLeft(places map[string]stockLevel, withheld int64) bool {
	for name, p := range places {
		kept := int64(0)
		if name == "WEB" {
			kept = withheld
		}
		if p.ATP != 0 || p.Withheld != kept || p.Reserved != p.OnHand-kept {
			return false
		}
	}
	return len(places) == rushStores+1
}
