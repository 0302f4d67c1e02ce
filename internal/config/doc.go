// Package config reads the configuration file of a node.
//
// It is strict: an unknown or repeated key, a wrong unit, a value out of range
// or an impossible combination is a fault, and [Load] reports all of them at
// once, each with file, line and column. Every key does something; there is none
// that is accepted and ignored. An environment variable
// ANABRANCH_<SECTION>_<KEY> wins over the file.
//
// [Config.Print] writes the settings in force as a file that means the same,
// each with where it came from. There are no secrets among them: a secret is
// always in a file of its own, which is named here and read elsewhere.
//
// It looks at nothing but the file and the environment: whether a certificate
// can be read or a port be taken is found out by who uses it. It starts no
// goroutine.
//
// Start at [Load]; all keys, with defaults and limits, are in key.go.
package config
