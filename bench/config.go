package bench

import (
	"errors"
	"fmt"
	"os"
	"time"

	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
)

// Config is what all measurements have in common. The zero value of a field
// means its default.
type Config struct {
	Dir        string // for the nodes' data, on the disk to measure; default a temporary one
	Nodes      int    // 1 (default) or 3
	Durability string // disk (default) or memory
	Rate       float64
	Duration   time.Duration // after the warm-up
	Warmup     time.Duration // before the clock counts; default 2 s
	Partitions int32         // of each topic; default 4
	Workload   Workload      // default 1,000 items at 8 places
	SharedWith string        // what else ran on the machine

	// tamper lets a decision reach the checks so many times, for tests.
	tamper func(order int) int
	// patience is how long a run waits while nothing more comes; what is missing
	// then counts as lost. Default 20 s.
	patience time.Duration
}

func (c *Config) withDefaults() {
	if c.Nodes == 0 {
		c.Nodes = 1
	}
	if c.Durability == "" {
		c.Durability = node.DurabilityDisk
	}
	if c.Warmup == 0 {
		c.Warmup = 2 * time.Second
	}
	if c.Partitions == 0 {
		c.Partitions = assembly.Partitions
	}
	if c.Workload == (Workload{}) {
		c.Workload = Workload{SKUs: 1000, Locations: 8, Units: 900_000}
	}
	if c.SharedWith == "" {
		c.SharedWith = "load generator in the same process"
	}
	if c.patience == 0 {
		c.patience = 20 * time.Second
	}
	if c.tamper == nil {
		c.tamper = func(int) int { return 1 }
	}
}

// Validate reports every fault.
func (c *Config) Validate() error {
	var faults []error
	if c.Rate <= 0 || c.Rate > 1e6 {
		faults = append(faults, fmt.Errorf("rate is %g; want more than 0, up to 1,000,000 a second", c.Rate))
	}
	if c.Duration <= 0 {
		faults = append(faults, fmt.Errorf("duration is %v; want more than 0", c.Duration))
	}
	return errors.Join(append(faults, c.validateCluster())...)
}

func (c *Config) validateCluster() error {
	var faults []error
	if c.Nodes != 0 && c.Nodes != 1 && c.Nodes != 3 {
		faults = append(faults, fmt.Errorf("nodes is %d; want 1 or 3", c.Nodes))
	}
	if d := c.Durability; d != "" && d != node.DurabilityDisk && d != node.DurabilityMemory {
		faults = append(faults, fmt.Errorf("durability is %q; want %s or %s", d, node.DurabilityDisk, node.DurabilityMemory))
	}
	return errors.Join(faults...)
}

// warmups and total are how many events come before the clock counts, and
// altogether.
func (c *Config) warmups() int { return int(c.Rate * c.Warmup.Seconds()) }
func (c *Config) total() int   { return c.warmups() + int(c.Rate*c.Duration.Seconds()) }

// What a run may use: enough rows for every item, not for every order ever made,
// as in a system that runs for longer.
const (
	memoryLimit = 4 << 30
	hotMemory   = 128 << 20
)

// directory is where the nodes of a run keep their data.
func (c *Config) directory() (dir string, remove func(), err error) {
	if c.Dir != "" {
		return c.Dir, func() {}, os.MkdirAll(c.Dir, 0o755)
	}
	if dir, err = os.MkdirTemp("", "anabranch-bench-"); err != nil {
		return "", nil, err
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}
