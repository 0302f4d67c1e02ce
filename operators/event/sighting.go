package event

import "anabranch.dev/state"

// TagRead ("tag.read") is what a reader's antenna has seen of one RFID tag in a
// stretch of time: the fields of an LLRP tag report.
type TagRead struct {
	EPC       string        `v:"epc"` // hexadecimal, or a URI urn:epc:…
	Reader    string        `v:"reader"`
	Antenna   int64         `v:"antenna"`
	RSSI      state.Decimal `v:"rssi_dbm"` // the strongest reading
	FirstSeen state.Time    `v:"first_seen"`
	LastSeen  state.Time    `v:"last_seen"`
	Count     int64         `v:"count"` // readings in it
}

// BeaconPing ("beacon.ping") says how strongly a person's device hears a beacon.
type BeaconPing struct {
	Device  string        `v:"device"` // an identifier of type device
	Beacon  BeaconSignal  `v:"beacon"`
	RSSI    state.Decimal `v:"rssi_dbm"`
	TxPower state.Decimal `v:"tx_power_dbm"` // what it would be at one metre
}

// BeaconSignal is what a beacon says of itself: UUID, major and minor number
// (iBeacon), or namespace and instance (Eddystone).
type BeaconSignal struct {
	UUID      string `v:"uuid"`
	Major     int64  `v:"major"`
	Minor     int64  `v:"minor"`
	Namespace string `v:"namespace"`
	Instance  string `v:"instance"`
}
