package embedded

import (
	"errors"
	"fmt"
)

// DefaultPort is Kafka's.
const DefaultPort = 9092

// Topic to create before the broker answers.
type Topic struct {
	Name       string
	Partitions int32
	Compacted  bool
}

// Config of a broker.
type Config struct {
	// DataDir keeps everything on disk, every write synced before it is
	// acknowledged. Empty: everything is in memory and gone after Close.
	DataDir string
	// Port to listen on, on 127.0.0.1. If it is taken the next free one of
	// the 100 that follow is used. 0 picks any free port.
	Port int
	// Topics to create if they are missing.
	Topics []Topic
}

// Validate reports every fault of the configuration at once.
func (c *Config) Validate() error {
	var faults []error
	if c.Port < 0 || c.Port > 65535 {
		faults = append(faults, fmt.Errorf("port %d is not between 0 and 65535", c.Port))
	}
	seen := map[string]bool{}
	for _, t := range c.Topics {
		if t.Name == "" {
			faults = append(faults, errors.New("a topic has no name"))
		}
		if t.Partitions < 1 {
			faults = append(faults, fmt.Errorf("topic %s: %d partitions", t.Name, t.Partitions))
		}
		if seen[t.Name] {
			faults = append(faults, fmt.Errorf("topic %s is named twice", t.Name))
		}
		seen[t.Name] = true
	}
	return errors.Join(faults...)
}
