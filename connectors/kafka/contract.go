package kafka

import "anabranch.dev/connectors"

var (
	_ connectors.Fetcher = (*Fetcher)(nil)
	_ connectors.Sink    = (*Sink)(nil)
)
