// Package simload is the shop that the simulator runs the retail topology with:
// reference data, stock, wishes, orders that race for last units, cancellations,
// shipments, rejections, returns, sales, policies and bad input, and the checks
// of what must come of them.
//
// Everything is drawn from the seed it is given. The shop reacts to decisions
// as it reads them: it ships, rejects or cancels what was allocated, sooner or
// later, twice, or not at all.
//
// Start at [New]; [NewRace] is the small one about the last two units.
package simload

import (
	"fmt"
	"math/rand/v2"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/sim"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/topology"
	"anabranch.dev/topology/retail"
)

// Sizes of the shop.
const (
	skus      = 6
	places    = 4
	sales     = 3 // partitions
	stock     = 2
	wishes    = 2
	reference = 1
)

// Load is one shop.
type Load struct {
	plan    *topology.Plan
	left    int // things still to happen
	n       int // things that happened
	opened  bool
	repeat  []sim.Input          // records that may come again
	placed  []*event.OrderPlaced // orders, for checks and for what follows them
	refused map[string]int       // hostile records by why they are to be refused
	decoder *wire.Decoder
	clock   state.Time // event time under the replay clock, else 0
}

// New makes a shop in which this many things happen.
func New(things int) (*Load, error) {
	plan, err := retail.Plan()
	if err != nil {
		return nil, err
	}
	decoder, err := newDecoder()
	if err != nil {
		return nil, err
	}
	return &Load{plan: plan, left: things, decoder: decoder, refused: map[string]int{}}, nil
}

// NewReplay makes a shop for the replay clock: what its topics contain does not
// depend on when they are read, and marks say how far event time is.
func NewReplay(things int) (*Load, error) {
	l, err := New(things)
	if err != nil {
		return nil, err
	}
	l.clock = 1_700_000_000 * state.Second
	return l, nil
}

// Plan implements sim.Workload.
func (l *Load) Plan() *topology.Plan { return l.plan }

// Topics implements sim.Workload.
func (l *Load) Topics() []sim.Topic {
	return []sim.Topic{{Alias: retail.TopicReference, Partitions: reference},
		{Alias: retail.TopicSales, Partitions: sales}, {Alias: retail.TopicStock, Partitions: stock},
		{Alias: retail.TopicInteractions, Partitions: wishes}}
}

// Produce implements sim.Workload.
func (l *Load) Produce(r *rand.Rand, now state.Time, emit func(sim.Input)) bool {
	if l.clock != 0 {
		now = l.clock
		l.clock += state.Time(r.Int64N(int64(20 * state.Second)))
		ordered := emit
		emit = func(in sim.Input) {
			in.After = 0 // its place in the partition is content
			ordered(in)
		}
	}
	if !l.opened {
		l.opened = true
		l.open(r, now, emit)
	}
	n := 1 + r.IntN(3)
	if r.IntN(10) == 0 {
		n = 12 // a rush
	}
	for ; n > 0 && l.left > 0; n-- {
		l.left--
		l.n++
		l.happen(r, now, emit)
	}
	if l.clock != 0 && (l.left == 0 || r.IntN(10) == 0) {
		l.mark(emit)
	}
	return l.left > 0
}

// mark says in every partition that nothing before now follows; at the end, that
// an hour passes in which nothing happens.
func (l *Load) mark(emit func(sim.Input)) {
	at := l.clock - 4*state.Second // events may be this late
	if l.left == 0 {
		at = l.clock + state.Hour
	}
	for _, t := range l.Topics() {
		for p := range t.Partitions {
			emit(sim.Input{Topic: t.Alias, Partition: p, Mark: at})
		}
	}
}

// open describes the places and products and counts what is there.
func (l *Load) open(r *rand.Rand, now state.Time, emit func(sim.Input)) {
	for i := range places {
		kind, pools := "store", []string{"store"}
		if i == 0 {
			kind, pools = "web", []string{"bulk", "web"}
		}
		capacity := int64(0)
		if i == 1 {
			capacity = 8
		}
		l.send(emit, retail.TopicReference, "location", now, &event.Location{Location: place(i), Kind: kind, Channel: "own_store",
			Lat: state.Decimal(50+i) * state.One, Lon: state.Decimal(i) * state.One, Timezone: "UTC", DailyCapacity: capacity,
			TakesReturns: true, ShippingCost: 3 * state.One, HandlingCost: state.One / 5, Pools: pools}, 0)
	}
	for i := range skus {
		l.send(emit, retail.TopicReference, "product", now, &event.Product{SKU: sku(i), Brand: "brand", Category: "things",
			Price: 5 * state.One, Currency: "EUR", SafetyStock: int64(i % 2)}, 0)
		for p := range places {
			l.send(emit, retail.TopicStock, "stock.counted", now, &event.StockCounted{SKU: sku(i), Location: place(p),
				Quantity: r.Int64N(9), Document: fmt.Sprintf("open-%d-%d", i, p)}, 0)
		}
	}
}

func sku(i int) string   { return fmt.Sprintf("sku-%d", i) }
func place(i int) string { return fmt.Sprintf("place-%d", i) }

// later is a short while or, now and then, a longer one.
func later(r *rand.Rand) state.Time {
	if r.IntN(5) == 0 {
		return state.Time(r.Int64N(int64(2 * state.Second)))
	}
	return state.Time(r.Int64N(int64(50 * state.Millisecond)))
}

// send brings a record in. Its partition follows from the document, so that the
// same document always comes in the same one.
func (l *Load) send(emit func(sim.Input), topic, kind string, at state.Time, payload state.Visitable, after state.Time) {
	l.n++
	e := l.event(kind, at, payload)
	partitions := map[string]int{retail.TopicReference: reference, retail.TopicSales: sales, retail.TopicStock: stock,
		retail.TopicInteractions: wishes}[topic]
	in := sim.Input{Topic: topic, Partition: int(state.ShardOf(l.key(kind, payload), partitions)), After: after,
		Events: []operators.Event{e}}
	if topic != retail.TopicReference {
		l.repeat = append(l.repeat, in)
	}
	emit(in)
}

func (l *Load) event(kind string, at state.Time, payload state.Visitable) operators.Event {
	return operators.Event{Source: "shop", ID: fmt.Sprintf("e-%d", l.n), Type: kind, Time: at, Payload: state.Nested{Value: payload}}
}

func (l *Load) key(kind string, payload state.Visitable) string {
	if in := l.plan.Input(kind); in != nil {
		return in.Key(payload)
	}
	return kind
}

// happen lets one thing happen.
func (l *Load) happen(r *rand.Rand, now state.Time, emit func(sim.Input)) {
	at := now - state.Time(r.Int64N(int64(3*state.Second)))
	n := r.IntN(20)
	if l.clock != 0 && n == 17 { // no API
		n = 18
	}
	switch {
	case n < 9:
		l.order(r, at, emit)
	case n < 15:
		l.goods(r, at, emit)
	case n < 17:
		in := l.repeat[r.IntN(len(l.repeat))]
		in.After = later(r)
		emit(in)
	case n < 18:
		l.publish(r, at, emit)
	case n < 19:
		l.disturb(r, at, emit)
	default:
		l.bad(r, at, emit)
	}
}

// order places one, on the topic or through the API.
func (l *Load) order(r *rand.Rand, at state.Time, emit func(sim.Input)) {
	o := &event.OrderPlaced{Order: fmt.Sprintf("o-%d", l.n), Channel: event.ChannelClasses[r.IntN(len(event.ChannelClasses))],
		Location: place(r.IntN(places)), Currency: "EUR", Backorder: r.IntN(3) == 0,
		Destination: &event.Destination{Lat: state.Decimal(50+r.IntN(4)) * state.One, Lon: state.Decimal(r.IntN(4)) * state.One}}
	for line := range 1 + r.IntN(4) {
		o.Lines = append(o.Lines, event.Line{Line: int64(line + 1), SKU: sku(r.IntN(skus)), Quantity: 1 + r.Int64N(3),
			UnitPrice: 5 * state.One})
	}
	l.placed = append(l.placed, o)
	if l.clock == 0 && r.IntN(4) == 0 {
		l.n++
		e := l.event("order.placed", at, o)
		emit(sim.Input{Command: &e, Answer: true, Key: o.Order, After: later(r)})
		return
	}
	l.send(emit, retail.TopicSales, "order.placed", at, o, later(r))
}

// goods moves goods about.
func (l *Load) goods(r *rand.Rand, at state.Time, emit func(sim.Input)) {
	s, p, q, doc := sku(r.IntN(skus)), place(r.IntN(places)), 1+r.Int64N(4), fmt.Sprintf("d-%d", l.n)
	switch r.IntN(8) {
	case 7:
		l.wish(r, s, p, at, emit)
	case 0:
		l.send(emit, retail.TopicStock, "stock.counted", at, &event.StockCounted{SKU: s, Location: p, Quantity: r.Int64N(6), Document: doc}, later(r))
	case 1:
		l.send(emit, retail.TopicStock, "stock.received", at, &event.StockReceived{SKU: s, Location: p, Quantity: q, Document: doc}, later(r))
	case 2:
		to := place(r.IntN(places))
		l.send(emit, retail.TopicStock, "stock.transferred", at, &event.StockTransferred{SKU: s, Location: p, To: to, Quantity: q,
			Document: doc, Arrives: at + state.Hour}, later(r))
		l.send(emit, retail.TopicStock, "stock.received", at, &event.StockReceived{SKU: s, Location: to, Quantity: q,
			Document: doc + "-in", Transfer: doc}, later(r))
	case 3:
		l.send(emit, retail.TopicStock, "stock.adjusted", at, &event.StockAdjusted{SKU: s, Location: p, Quantity: q - 3, Document: doc,
			Reason: "found"}, later(r))
	case 4:
		l.send(emit, retail.TopicStock, "stock.withheld", at, &event.StockWithheld{SKU: s, Location: p, Quantity: 1, Document: doc}, later(r))
		l.send(emit, retail.TopicStock, "stock.released", at, &event.StockReleased{SKU: s, Location: p, Quantity: 1, Document: doc + "-free"},
			later(r))
	case 5:
		l.send(emit, retail.TopicSales, "return.received", at, &event.ReturnReceived{Document: doc, Channel: "own_store", Location: p,
			Currency: "EUR", Lines: []event.Line{{Line: 1, SKU: s, Quantity: 1, UnitPrice: 5 * state.One}}}, later(r))
	default:
		l.send(emit, retail.TopicSales, "sale.completed", at, &event.SaleCompleted{Receipt: doc, Channel: "own_store", Location: p,
			Currency: "EUR", Lines: []event.Line{{Line: 1, SKU: s, Quantity: q, UnitPrice: 5 * state.One}}}, later(r))
	}
}

// wish asks for goods, mostly for a customer.
func (l *Load) wish(r *rand.Rand, sku, place string, at state.Time, emit func(sim.Input)) {
	e := &event.StockAsked{SKU: sku, Location: place, Quantity: r.Int64N(3), Staff: "s-1"}
	if r.IntN(4) > 0 {
		e.Customer = []event.Identifier{{Type: "loyalty", Value: fmt.Sprintf("c-%d", r.IntN(5))}}
	}
	l.send(emit, retail.TopicInteractions, "stock.asked", at, e, later(r))
}

// disturb sends what refers to an order out of turn: too early, too late, or to
// none at all.
func (l *Load) disturb(r *rand.Rand, at state.Time, emit func(sim.Input)) {
	order := fmt.Sprintf("o-%d", r.IntN(2*l.n+1))
	if len(l.placed) > 0 && r.IntN(3) > 0 {
		order = l.placed[r.IntN(len(l.placed))].Order
	}
	doc := fmt.Sprintf("x-%d", l.n)
	switch r.IntN(3) {
	case 0:
		l.send(emit, retail.TopicSales, "order.cancelled", at, &event.OrderCancelled{Order: order, Document: doc, Currency: "EUR"}, later(r))
	case 1:
		l.send(emit, retail.TopicSales, "order.shipped", at, &event.OrderShipped{Order: order, Document: doc}, later(r))
	default:
		l.send(emit, retail.TopicSales, "order.rejected", at, &event.OrderRejected{Order: order, Document: doc,
			Location: place(r.IntN(places)), Reason: "not found"}, later(r))
	}
}

// bad brings in what can't be applied.
func (l *Load) bad(r *rand.Rand, at state.Time, emit func(sim.Input)) {
	switch r.IntN(8) {
	case 4, 5, 6, 7:
		l.raw(r, at, emit)
	case 0:
		emit(sim.Input{Topic: retail.TopicSales, Partition: r.IntN(sales),
			Events: []operators.Event{{Reject: &operators.Reject{Code: "json_invalid", Hash: []byte{1, 2, 3}}}}})
	case 1:
		l.send(emit, retail.TopicSales, "order.dreamt", at, &event.OrderShipped{Order: "o-1"}, later(r))
	case 2:
		l.send(emit, retail.TopicStock, "stock.counted", at-40*state.Day, &event.StockCounted{SKU: sku(0), Location: place(1), Quantity: 1,
			Document: fmt.Sprintf("old-%d", l.n)}, later(r))
	default:
		l.send(emit, retail.TopicStock, "stock.received", at, &event.StockReceived{SKU: sku(1), Location: "nowhere", Quantity: -5,
			Document: fmt.Sprintf("bad-%d", l.n)}, later(r))
	}
}
