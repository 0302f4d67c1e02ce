package kafka

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/internal/apachekafka"
)

// What is there stays as it is; what is missing is made, once.
func TestCreateMissing(t *testing.T) {
	eachBroker(t, func(t *testing.T, b *testBroker) {
		there := b.topic("there", 1)[0].Topic
		admin, err := NewAdmin(b.config())
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		missing := b.prefix + ".missing"
		topics := []Topic{{Name: there, Partitions: 3, Compacted: true}, {Name: missing, Partitions: 3, Compacted: true}}
		for _, want := range [][]string{{missing}, nil} {
			if made, err := admin.CreateMissing(b.ctx, topics); err != nil || !slices.Equal(made, want) {
				t.Fatalf("CreateMissing = %v, %v; want %v", made, err, want)
			}
		}
		infos, err := admin.Describe(b.ctx, []string{there, missing})
		if err != nil || len(infos) != 2 || infos[0].Partitions != 1 || infos[1].Partitions != 3 {
			t.Errorf("topics = %+v, %v; want 1 and 3 partitions", infos, err)
		}
		// What can't be made is named, and the others are made all the same.
		other := b.prefix + ".other"
		made, err := admin.CreateMissing(b.ctx, []Topic{{Name: b.prefix + ".wide", Partitions: 1, Replication: 9}, {Name: other, Partitions: 1}})
		if !errors.Is(err, connectors.ErrPermanent) || !slices.Equal(made, []string{other}) {
			t.Errorf("CreateMissing with 9 replicas on one broker = %v, %v; want it permanent, and %s made", made, err, other)
		}
	})
}

// A wrong password does not become right by waiting.
func TestCreateMissingWrongPassword(t *testing.T) {
	b := newApache(t)
	cfg := b.config()
	cfg.Brokers = b.apache.AddrsOf(apachekafka.Scram)
	cfg.SASL = &SASL{Mechanism: MechanismScramSHA512, User: apachekafka.User, Password: "wrong"}
	admin, err := NewAdmin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.CreateMissing(b.ctx, []Topic{{Name: b.prefix, Partitions: 1}}); !errors.Is(err, connectors.ErrPermanent) {
		t.Errorf("CreateMissing with a wrong password = %v; want it permanent", err)
	}
}

// A broker that is away may come back.
func TestCreateMissingWithoutBroker(t *testing.T) {
	admin, err := NewAdmin(Config{Brokers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := admin.CreateMissing(ctx, []Topic{{Name: "a", Partitions: 1}}); err == nil || errors.Is(err, connectors.ErrPermanent) {
		t.Errorf("CreateMissing without a broker = %v; want an error that may go away", err)
	}
}
