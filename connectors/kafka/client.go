package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// connection builds the client options that every client of a Config shares.
func (c *Config) connection() ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("anabranch"),
		kgo.DialTimeout(3 * time.Second),
		kgo.RetryTimeout(c.TransactionTimeout),
		// The defaults, 250 ms and 5 s, would be the largest part of a failover.
		kgo.RetryBackoffFn(backoff),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.DisableClientMetrics(),
	}
	if c.TLS != nil {
		conf, err := c.TLS.load()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(conf))
	}
	if c.dial != nil {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	if c.SASL != nil {
		mechanism, err := c.SASL.load()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// client connects with the shared options and more. Nothing is dialled yet.
func (c *Config) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.connection()
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(opts, more...)...)
}

// backoff doubles from 20 ms to 1 s.
func backoff(tries int) time.Duration {
	return min(20*time.Millisecond<<min(max(tries-1, 0), 6), time.Second)
}

func (t *TLS) load() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.ca_file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka.tls.ca_file %s: no certificate in it", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.cert_file: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}

func (s *SASL) load() (sasl.Mechanism, error) {
	password := s.Password
	if s.PasswordFile != "" {
		b, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.sasl.password_file: %w", err)
		}
		password = strings.TrimRight(string(b), "\r\n")
	}
	switch s.Mechanism {
	case MechanismScramSHA256:
		return scram.Auth{User: s.User, Pass: password}.AsSha256Mechanism(), nil
	case MechanismScramSHA512:
		return scram.Auth{User: s.User, Pass: password}.AsSha512Mechanism(), nil
	default:
		return plain.Auth{User: s.User, Pass: password}.AsMechanism(), nil
	}
}
