package simload

import (
	"fmt"
	"strings"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/sim"
)

// Things is how many things happen in the shop of one seed, if nobody wants
// another number.
const Things = 80

// Run simulates one seed: the shop, and under the wall clock the race for the
// last two units. A trace shows one after the other.
func Run(cfg sim.Config, things int) (*sim.Report, error) {
	if cfg.Again == "" {
		cfg.Again = again(cfg, things)
	}
	build := New
	if cfg.Clock == core.ClockReplay {
		build = NewReplay
	}
	shop, err := build(things)
	if err != nil {
		return nil, err
	}
	report, err := sim.Run(cfg, shop, shop.Check)
	if err != nil || cfg.Clock == core.ClockReplay {
		return report, err
	}
	race, err := NewRace()
	if err != nil {
		return report, err
	}
	cfg.Calm = true
	second, err := sim.Run(cfg, race, race.Check)
	if err != nil {
		return second, fmt.Errorf("race for the last units: %w", err)
	}
	report.Add(second)
	return report, nil
}

// again is the command that runs a seed again, from a clone of the sources.
func again(cfg sim.Config, things int) string {
	command := fmt.Sprintf("go run ./cmd/anabranch sim --seed %d --groups %d", cfg.Seed, max(cfg.Groups, 1))
	if things != Things {
		command += fmt.Sprintf(" --things %d", things)
	}
	if len(cfg.Without) > 0 {
		command += " --without " + strings.Join(cfg.Without, ",")
	}
	if cfg.Clock == core.ClockReplay {
		command += " --clock replay"
	}
	return command
}
