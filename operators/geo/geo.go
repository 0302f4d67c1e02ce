// Package geo measures distances on the globe in integers, so that every
// machine gets the same ones.
//
// Positions are in millionths of a degree (WGS 84), distances in whole metres
// along the great circle of a sphere with the Earth's mean radius. The result
// is the haversine formula's to within a metre, which is within about half a
// per cent of the ellipsoid's.
package geo

import "anabranch.dev/state"

// Radius is the Earth's mean radius in metres (IUGG).
const Radius = 6_371_009

const degree = 1_000_000

// Metres is the great-circle distance between two points by the haversine
// formula: sin²(d/2R) = sin²(Δφ/2) + cos φ₁ · cos φ₂ · sin²(Δλ/2). Latitudes
// beyond a pole count as the pole, longitudes wrap around.
func Metres(lat1, lon1, lat2, lon2 state.Decimal) int64 {
	phi1, phi2 := clamp(int64(lat1)), clamp(int64(lat2))
	lambda := apart(wrap(int64(lon1)), wrap(int64(lon2)))
	lambda = min(lambda, 360*degree-lambda)
	along := square(sine(halfOf(apart(phi1, phi2))))
	across := square(sine(halfOf(lambda)))
	return metresOf(root(along.plus(across.times(fraction(cosine(phi1), cosine(phi2))))))
}

func apart(a, b int64) int64 {
	if a < b {
		return b - a
	}
	return a - b
}

func clamp(lat int64) int64 { return max(-90*degree, min(90*degree, lat)) }

// wrap brings a longitude into [-180°, 180°).
func wrap(lon int64) int64 {
	lon = (lon%(360*degree) + 540*degree) % (360 * degree)
	return lon - 180*degree
}
