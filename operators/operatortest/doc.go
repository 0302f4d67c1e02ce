// Package operatortest runs story files against a plan: events go in, effects
// and state come out as text, and the file says what they should be.
//
// A story runs on the real core over the reference store, as one group, with
// every entry carried through its stored bytes. The story steps the clock. A
// directive is an event in readable form, its fields as key=value:
//
//	# Two shoppers race for the last unit. One of three is safety stock.
//	stock.counted sku=glasses-7 location=sanlitun quantity=3 document=C1
//	----
//	stock.level sku=glasses-7 location=sanlitun pool=store on_hand=3 atp=2
//
// The command is an event type of the plan or a verb of the [Suite], which
// renames fields and fills in defaults. Fields of a list of structs stand on
// lines of their own under the directive, or in the directive itself if there
// is one item. Fields of a nested struct are written with a dot. Times are RFC
// 3339 or relative to the clock: now, +5m, -2d; spans of time have no sign: 30s.
// Every directive also takes
//
//	at=TIME      the event's time, otherwise the clock's
//	id=ID        the event's id, otherwise a new one
//
// and prints, one a line, the records that left for topics, "duplicate" for an
// event that changed nothing, and "dead letter CODE at STAGE". Further
// directives:
//
//	clock +5m                      step the clock; timers that are due fire
//	show stage=S key=K [table=T]   rows of one key
//	query stage=S query=Q key=K …  a query's answer, … being its fields
//
// [Rig] is the same without text, for tests that make their own events.
//
// Start at [Run] and [Suite].
package operatortest
