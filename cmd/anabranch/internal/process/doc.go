// Package process runs the program as tests see it from outside: as a process
// with arguments, lines of output, an exit code and an HTTP API.
//
// It is test support and imported by nothing else. Every process started is
// ended by its own id when its test ends; on Linux also when the test binary dies. Waiting is
// for conditions, bounded by [Patience], never for a time.
//
// Start at [Main], then [StartDev].
package process
