package event

// RequestMade ("request.made") says that a command came with an idempotency
// key. Key and Content are digests.
type RequestMade struct {
	Key       string `v:"key"`
	Content   string `v:"content"`   // of the command, pseudonyms for identifiers
	Withdrawn bool   `v:"withdrawn"` // nothing came of it: the key is free again
}
