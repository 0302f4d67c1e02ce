// Package matching says how likely two descriptions of persons mean the same one,
// after Fellegi and Sunter, "A Theory for Record Linkage" (1969).
//
// A description is a list of fields, each as keyed hashes ([Value]): whoever has no
// key can't read it, and what is similar can still be seen to be (Schnell, Bachteler
// and Reiher, "Privacy-preserving record linkage using Bloom filters", 2009). Of two
// values there is a level of agreement; a [Model] gives each level of each field a
// weight, log₂ of how much likelier it is for one person than for two. The sum of
// the weights and of the prior is the log₂ of the odds.
//
// Everything here is integers: a model is fitted elsewhere and published, and gives
// the same answer on every machine. Values are made by package keyed.
//
// Start at [Model.Compare].
package matching
