package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"anabranch.dev/connectors"
)

// refusals are the answers to looking for a topic and making it that asking
// again can't change.
var refusals = append(slices.Clone(permanent),
	kerr.SaslAuthenticationFailed,
	kerr.UnsupportedSaslMechanism,
	kerr.IllegalSaslState,
	kerr.InvalidPartitions,
	kerr.InvalidReplicationFactor,
	kerr.InvalidConfig,
)

// CreateMissing makes those of the topics that don't exist and returns their
// names. It leaves the others as they are, so that it needs no right to make
// topics when there is nothing to make. An error that wraps
// [connectors.ErrPermanent] does not go away by itself.
func (a *Admin) CreateMissing(ctx context.Context, topics []Topic) (made []string, err error) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	present, err := a.Describe(ctx, names)
	if err != nil {
		return nil, mapRefusal(err)
	}
	var faults []error
	for i, t := range topics {
		if slices.ContainsFunc(present, func(info connectors.TopicInfo) bool { return info.Name == t.Name }) {
			continue
		}
		if err := ensure(ctx, a.adm, &topics[i]); err != nil {
			faults = append(faults, mapRefusal(fmt.Errorf("topic %s is missing and can't be made: %w", t.Name, err)))
			continue
		}
		made = append(made, t.Name)
	}
	return made, errors.Join(faults...)
}

func mapRefusal(err error) error {
	if isAny(err, refusals) {
		return fmt.Errorf("%w: %w", connectors.ErrPermanent, err)
	}
	return err
}
