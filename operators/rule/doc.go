// Package rule evaluates conditions that people write in policies: expressions
// of CEL, the Common Expression Language (https://cel.dev), over a vocabulary of
// named facts.
//
// An [Expression] is compiled once and gives the same answer on every replica,
// for the same facts: it knows texts, whole numbers and truth values, lists of
// them that stand in the expression, and a closed set of functions. There are no
// fractions, no maps, no clock, no time zones, no regular expressions and no
// conversions, so that neither the machine nor a newer library decides. What an
// evaluation may cost is bounded when it is compiled: lists stand in the
// expression, and a text longer than its [Variable] says is a fault, not work.
//
// It never guesses: what can't be worked out is named by a code of this package,
// never by the library's words, and the caller decides what then holds. The
// testdata of this package are expressions with their results, so that an upgrade
// of the library can't change one unseen.
//
// An Expression and its [Facts] belong to one goroutine. Start at
// [Vocabulary.Compile] and [Expression.Holds]; what is refused is in refuse.go.
package rule
