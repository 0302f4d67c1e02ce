package apachekafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"time"
)

// Files of a secure cluster.
const (
	caPEM     = "ca.pem"
	brokerPEM = "broker.pem"
	clientPEM = "client.pem"
	clientKey = "client-key.pem"
)

// An authority signs certificates and is thrown away: its key is nowhere kept.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// writeCertificates makes an authority, one certificate for all brokers and one
// for clients.
func (c *Cluster) writeCertificates() error {
	ca, caCert, err := newAuthority()
	if err != nil {
		return err
	}
	broker, brokerKey, err := ca.sign("broker", x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	client, key, err := ca.sign("client", x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(c.path(caPEM), caCert, 0o644),
		os.WriteFile(c.path(brokerPEM), append(brokerKey, broker...), 0o600),
		os.WriteFile(c.path(clientPEM), client, 0o644),
		os.WriteFile(c.path(clientKey), key, 0o600),
	)
}

func template(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func newAuthority() (*authority, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := template("throw-away authority", 1)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// sign makes a key and a certificate for this machine.
func (a *authority) sign(name string, use x509.ExtKeyUsage) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := template(name, time.Now().UnixNano())
	t.ExtKeyUsage = []x509.ExtKeyUsage{use}
	t.DNSNames, t.IPAddresses = []string{"localhost"}, []net.IP{net.ParseIP(host)}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
