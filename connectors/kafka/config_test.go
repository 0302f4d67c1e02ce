package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestValidateNamesEveryFault(t *testing.T) {
	cfg := Config{
		Cluster: "a b", Delivery: "twice", TransactionTimeout: -1, FetchBytes: -1, FetchWait: time.Minute,
		TLS: &TLS{CertFile: "x"}, SASL: &SASL{Mechanism: "MD5"},
	}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("Validate() = nil; want faults")
	}
	for _, want := range []string{
		"brokers", "cluster.name", "delivery", "transaction_timeout", "fetch_bytes", "fetch_wait",
		"key_file", "mechanism", "user", "password",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %q; want it to name %s", err, want)
		}
	}
	good := Config{Brokers: []string{"localhost:9092"}, Cluster: "retail", SASL: &SASL{Mechanism: MechanismPlain, User: "u", Password: "p"}}
	if err := good.Validate(); err != nil {
		t.Errorf("Validate() = %v; want nil", err)
	}
	if _, err := NewSink(Config{Brokers: good.Brokers}, 3, 2); err == nil || !strings.Contains(err.Error(), "group 3") || !strings.Contains(err.Error(), "incarnation") {
		t.Errorf("NewSink(no cluster, group 3 of 2) = %v; want every fault", err)
	}
}

func TestTLSAndSASL(t *testing.T) {
	dir := t.TempDir()
	cert, caFile := selfSigned(t, dir)
	passwordFile := filepath.Join(dir, "password")
	if err := os.WriteFile(passwordFile, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mechanism := range []string{MechanismPlain, MechanismScramSHA256, MechanismScramSHA512} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(),
			kfake.Superuser(mechanism, "shop", "secret"), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		cfg := Config{
			Brokers: cluster.ListenAddrs(), TransactionTimeout: time.Second,
			TLS:  &TLS{CAFile: caFile},
			SASL: &SASL{Mechanism: mechanism, User: "shop", PasswordFile: passwordFile},
		}
		if err := ping(t, cfg); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		cfg.SASL = &SASL{Mechanism: mechanism, User: "shop", Password: "wrong"}
		if err := ping(t, cfg); err == nil {
			t.Errorf("%s: the wrong password was accepted", mechanism)
		}
		cfg.SASL.Password = "secret"
		cfg.TLS = &TLS{} // the system's certificates don't know ours
		if err := ping(t, cfg); err == nil {
			t.Errorf("%s: an unknown certificate was accepted", mechanism)
		}
	}
}

func ping(t *testing.T, cfg Config) error {
	admin, err := NewAdmin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return admin.Ping(ctx)
}

func selfSigned(t *testing.T, dir string) (cert tls.Certificate, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, caFile
}

func TestEnsure(t *testing.T) { eachBroker(t, testEnsure) }

func testEnsure(t *testing.T, b *testBroker) {
	admin, err := NewAdmin(b.config())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	name := b.prefix + ".levels"
	plain, compacted := b.prefix+".plain", Topic{Name: name, Partitions: 2, Compacted: true}
	for range 2 { // created, then found
		if err := admin.Ensure(b.ctx, []Topic{compacted, {Name: plain, Partitions: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	err = admin.Ensure(b.ctx, []Topic{{Name: name, Partitions: 3}, {Name: plain, Partitions: 1, Compacted: true}})
	if err == nil || !strings.Contains(err.Error(), "2 partitions, want at least 3") || !strings.Contains(err.Error(), "want compact") {
		t.Errorf("Ensure(more partitions; compacted) = %v; want both faults", err)
	}
}
