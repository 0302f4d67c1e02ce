package wire

// segmentType is the type of a Segment document that says what a person did.
const segmentType = "track"

// segmentEvents gives the events of Segment's e-commerce specification (version 2)
// the types that mean the same here. Orders are not among them: they are decided,
// and come from those who keep them.
var segmentEvents = map[string]string{
	"Products Searched":              "product.searched",
	"Product List Viewed":            "product.listed",
	"Product List Filtered":          "product.listed",
	"Promotion Viewed":               "promotion.viewed",
	"Promotion Clicked":              "promotion.clicked",
	"Product Clicked":                "product.clicked",
	"Product Viewed":                 "product.viewed",
	"Product Added":                  "cart.added",
	"Product Removed":                "cart.removed",
	"Cart Viewed":                    "cart.viewed",
	"Checkout Started":               "checkout.started",
	"Product Shared":                 "product.shared",
	"Product Added to Wishlist":      "product.favourited",
	"Product Removed from Wishlist":  "product.unfavourited",
	"Wishlist Product Added to Cart": "cart.added",
	"Product Reviewed":               "product.reviewed",
}

// segment turns a track document of Segment into one of ours. A field that it has
// twice counts once, as in the tools that write it. Without a channel it is the
// own web shop's.
func (d *document) segment() []byte {
	const root = 0
	t := translation{body: make([]byte, 0, len(d.src)+256), from: d}
	properties, context := t.inside(root, "properties"), t.inside(root, "context")
	t.object("")
	name := t.said(root, "event")
	if own := segmentEvents[name]; own != "" {
		name = own
	}
	t.text("type", name)
	t.copyText("id", root, "messageId")
	t.text("source", orElse(t.said(root, "source"), "segment"))
	t.copy("time", root, "timestamp", "originalTimestamp", "sentAt")
	t.text("channel", orElse(t.said(properties, "channel"), "own_online"))
	t.copyText("session", properties, "session_id", "sessionId")
	t.copyText("sku", properties, "sku", "product_id")
	t.copyText("category", properties, "category")
	t.copyText("brand", properties, "brand")
	t.copyText("campaign", properties, "promotion_id")
	t.copy("price", properties, "price")
	t.copy("currency", properties, "currency")
	t.copy("quantity", properties, "quantity")
	t.copy("query", properties, "query")
	t.copy("score", properties, "rating")
	t.segmentURL(properties, context)
	t.segmentCustomer(properties, context)
	t.end('}')
	return t.body
}

func (t *translation) segmentURL(properties, context uint32) {
	if url := t.said(properties, "url"); url != "" {
		t.text("url", url)
		return
	}
	t.text("url", t.said(t.inside(context, "page"), "url"))
}

// segmentCustomer lists who it was: by the visitor's number, the account, the
// device, and what the account says of itself.
func (t *translation) segmentCustomer(properties, context uint32) {
	const root = 0
	traits, device := t.inside(context, "traits"), t.inside(context, "device")
	t.list("customer")
	t.identify("cookie", t.said(root, "anonymousId"))
	t.identify("account", t.said(root, "userId"))
	t.identify("device", t.said(device, "id"))
	t.identify("email", orElse(t.said(traits, "email"), t.said(properties, "email")))
	t.identify("phone", t.said(traits, "phone"))
	t.end(']')
}

func orElse(text, other string) string {
	if text != "" {
		return text
	}
	return other
}
