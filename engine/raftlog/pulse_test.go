package raftlog

import (
	"testing"
	"testing/synctest"
	"time"
)

// pulse lets a time pass on a bubble's clock and everything due in it happen.
func pulse(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}
