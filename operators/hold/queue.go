package hold

import "anabranch.dev/operators"

// enqueue lets a claim wait at all its places.
func (b *Book) enqueue(c operators.Context, r Resource, claim *Claim, sums []sum) {
	claim.State, claim.Number = Queued, next(r, sums)
	key := claimKey(claim.Order, claim.Attempt)
	for _, s := range sums {
		r.Marks(s.at).Queued++
		b.queue.Set(c, queueKey(s.at, claim.Number), Pointer{Claim: key})
	}
	b.claims.Set(c, key, *claim)
}

// dequeue takes a claim out of the queues of its places.
func (b *Book) dequeue(c operators.Context, r Resource, claim *Claim, sums []sum) {
	for _, s := range sums {
		r.Marks(s.at).Queued--
		b.queue.Delete(c, queueKey(s.at, claim.Number))
	}
}

// head is the claim whose turn it is at a place, or "".
func (b *Book) head(c operators.Context, at Place) (key string) {
	b.queue.Scan(c, at.Key(), func(_ string, p *Pointer) bool {
		key = p.Claim
		return false
	})
	return key
}

// Wake answers the claims that wait at a place and whose turn has come: granted
// when they fit, refused when decided holds make them impossible. budget is
// what is left of [MaxAnswers] in this call; Wake returns what is left of it
// afterwards, and 0 means that more may wait.
func (b *Book) Wake(c operators.Context, r Resource, at Place, budget int) int {
	work := []Place{at}
	for len(work) > 0 && budget > 0 {
		at := work[len(work)-1]
		key := ""
		if r.Marks(at).Queued > 0 {
			key = b.head(c, at)
		}
		if key == "" {
			work = work[:len(work)-1]
			continue
		}
		claim, open := b.claims.Get(c, key)
		if !open || claim.State != Queued {
			panic("hold: the queue names a claim that does not wait")
		}
		sums := sumParts(nil, claim.Parts)
		answered := b.turn(c, r, &claim, key, sums)
		if !answered {
			work = work[:len(work)-1]
			continue
		}
		budget--
		for _, s := range sums {
			if s.at != at {
				work = append(work, s.at)
			}
		}
	}
	return budget
}

// turn tries to answer the head of a queue.
func (b *Book) turn(c operators.Context, r Resource, claim *Claim, key string, sums []sum) bool {
	first := true
	for _, s := range sums {
		m, limit := r.Marks(s.at), r.Limit(s.at)
		if s.units > limit-(m.Reserved-m.Undecided) {
			b.dequeue(c, r, claim, sums)
			b.claims.Delete(c, key)
			b.refuse(c, r, claim, Short)
			return true
		}
		if s.units > limit-m.Reserved || b.head(c, s.at) != key {
			first = false
		}
	}
	if !first {
		return false
	}
	b.dequeue(c, r, claim, sums)
	b.grant(c, r, claim, sums)
	return true
}
