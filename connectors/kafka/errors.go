package kafka

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"anabranch.dev/connectors"
)

// fenced lists what a broker answers to a producer whose transactional id has
// been taken over.
var fenced = []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch}

// permanent lists the answers that sending again can't change.
var permanent = []error{
	kerr.MessageTooLarge,
	kerr.RecordListTooLarge,
	kerr.InvalidRecord,
	kerr.InvalidTopicException,
	kerr.PolicyViolation,
	kerr.UnsupportedVersion,
	kerr.UnsupportedCompressionType,
	kerr.TopicAuthorizationFailed,
	kerr.ClusterAuthorizationFailed,
	kerr.TransactionalIDAuthorizationFailed,
	kerr.InvalidTransactionTimeout,
}

func isAny(err error, list []error) bool {
	return slices.ContainsFunc(list, func(e error) bool { return errors.Is(err, e) })
}

// severity orders the errors of several records of one call: one that is
// fenced or can't be written explains the failure of the others.
func severity(err error) int {
	switch {
	case err == nil:
		return 0
	case isAny(err, fenced):
		return 3
	case isAny(err, permanent):
		return 2
	default:
		return 1
	}
}

// mapProduce classifies an error from before the commit was asked for: nothing
// is committed, so everything else may be sent again.
func mapProduce(err error) error {
	switch severity(err) {
	case 3:
		return fmt.Errorf("%w: %w", connectors.ErrFenced, err)
	case 2:
		return fmt.Errorf("%w: %w", connectors.ErrPermanent, err)
	default:
		return err
	}
}

// mapCommit classifies an error of a commit. Fenced or not, the broker may have
// committed: an answer can be lost, and the client asks again by itself.
func mapCommit(err error) error {
	if isAny(err, fenced) {
		return fmt.Errorf("%w: %w", connectors.ErrFenced, err)
	}
	return fmt.Errorf("%w: %w", connectors.ErrMaybe, err)
}

// mapOpen classifies an error of initialising producers.
func mapOpen(err error) error {
	if isAny(err, permanent) {
		return fmt.Errorf("%w: %w", connectors.ErrPermanent, err)
	}
	return err
}
