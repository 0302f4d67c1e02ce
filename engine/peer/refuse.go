package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Reason says why something from outside was refused. The list is closed, so
// that a metric can have one line for each.
type Reason string

// Reasons of refusals, as counted in [Stats].
const (
	ReasonSilent      Reason = "silent"      // left without a word
	ReasonSlow        Reason = "slow"        // header or handshake not done in time, or cut off
	ReasonCrowd       Reason = "crowd"       // the oldest of too many without a header
	ReasonGarbage     Reason = "garbage"     // not this protocol
	ReasonVersion     Reason = "version"     // another version of it
	ReasonTLS         Reason = "tls"         // no TLS where it is wanted, or the reverse, or a failed handshake
	ReasonCertificate Reason = "certificate" // signed by the authority, but it names no node of this cluster
	ReasonCluster     Reason = "cluster"     // another cluster
	ReasonIncarnation Reason = "incarnation" // another life of the cluster
	ReasonNode        Reason = "node"        // the sender is no member, or not the one that its certificate names
	ReasonTarget      Reason = "target"      // meant for another node, group or replica
	ReasonBusy        Reason = "busy"        // too many connections for calls from one node, or a group that takes no streams
	ReasonFrame       Reason = "frame"       // a connection for calls brought something that is no call
)

// refusal is why a connection is not welcome, in words for the other side.
type refusal struct {
	reason Reason
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(reason Reason, format string, args ...any) error {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

// reasonOf sorts an error of a guest: what is no refusal was a fault of reading.
func reasonOf(err error) Reason {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.reason
	}
	return ReasonSlow
}

const (
	logEvery = 10 * time.Second // one line per reason and host
	maxHosts = 512              // remembered for that; the others share a line per reason
)

// refusals counts what was refused and says so in the log, but not as often as a
// stranger may like.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	counts map[Reason]uint64
	lines  map[line]*quiet
}

type line struct {
	reason Reason
	host   string
}

// quiet is the time after a line in which the same one is only counted.
type quiet struct {
	until time.Time
	held  int
}

// note counts a refusal and perhaps logs it.
func (r *refusals) note(reason Reason, remote net.Addr, err error) {
	host, now := hostOf(remote), time.Now()
	r.mu.Lock()
	r.counts[reason]++
	held, say := r.sayLocked(line{reason, host}, now)
	r.mu.Unlock()
	switch {
	case !say:
	case reason == ReasonSilent: // health checks and port scans do this all day
		r.log.Debug("peer connection left without a word", "from", remote, "before", held)
	default:
		r.log.Warn("peer connection refused", "reason", string(reason), "from", remote, "err", err, "before", held)
	}
}

// sayLocked says whether a line is due, and how many were held back before it.
func (r *refusals) sayLocked(l line, now time.Time) (held int, say bool) {
	q := r.lines[l]
	if q == nil && len(r.lines) >= maxHosts {
		for l, q := range r.lines {
			if now.After(q.until) {
				delete(r.lines, l)
			}
		}
	}
	if q == nil && len(r.lines) >= maxHosts {
		l.host = "others"
		q = r.lines[l]
	}
	if q == nil {
		q = &quiet{}
		r.lines[l] = q
	}
	if now.Before(q.until) {
		q.held++
		return 0, false
	}
	held, q.held, q.until = q.held, 0, now.Add(logEvery)
	return held, true
}

// hostOf is an address without its port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String() // not of TCP: then the whole of it is the host
	}
	return host
}
