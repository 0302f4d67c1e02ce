// Package calendar says which calendar day a time falls on at a place, the same
// on every machine.
//
// Time zones come from the IANA data that are embedded here, a copy of what Go
// ships, and never from the host: replicas on different machines must agree. A
// newer copy changes results and belongs to an update of the whole cluster.
//
// A [Zones] remembers the zones it has read. It belongs to one caller: nothing
// here locks.
package calendar

import (
	"archive/zip"
	"bytes"
	_ "embed" // the zones
	"fmt"
	"io"
	"time"

	"anabranch.dev/state"
)

//go:embed zoneinfo.zip
var zoneinfo []byte

const dateLayout = "2006-01-02"

// Zones reads time zones and remembers them. Its zero value is ready for use.
type Zones struct{ known map[string]*time.Location }

// Day is the calendar day of a time in a zone, as 2026-11-20. An empty or
// unknown zone is UTC.
func (z *Zones) Day(zone string, t state.Time) string {
	return t.Wall().In(z.zone(zone)).Format(dateLayout)
}

// zone remembers only zones that exist, of which there are about 600.
func (z *Zones) zone(name string) *time.Location {
	if name == "" || name == "UTC" {
		return time.UTC
	}
	if l, known := z.known[name]; known {
		return l
	}
	l, err := read(name)
	if err != nil {
		return time.UTC
	}
	if z.known == nil {
		z.known = map[string]*time.Location{}
	}
	z.known[name] = l
	return l
}

func read(name string) (*time.Location, error) {
	archive, err := zip.NewReader(bytes.NewReader(zoneinfo), int64(len(zoneinfo)))
	if err != nil {
		return nil, fmt.Errorf("embedded time zones: %w", err)
	}
	f, err := archive.Open(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", name, err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", name, err)
	}
	l, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", name, err)
	}
	return l, nil
}
