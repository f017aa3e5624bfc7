// Package pki is the platform's certificate authority: all TLS clients and servers of one installation trust it,
// and no others.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	life          = 365 * 24 * time.Hour
	// renewal is how long before its end a certificate is replaced.
	renewal = 30 * 24 * time.Hour
)

// An Authority signs certificates and keeps all files in one folder: NAME.crt and NAME.key, PEM.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// PEM is the authority's certificate.
	PEM []byte
	now func() time.Time
}

// Open loads the authority in dir, or creates it.
func Open(dir string) (*Authority, error) {
	a := &Authority{dir: dir, now: time.Now}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cert, key, err := a.load("ca")
	if errors.Is(err, fs.ErrNotExist) {
		return a, a.make()
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w; delete %s to make a new one", err, dir)
	}
	a.cert, a.key = cert, key
	a.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	return a, nil
}

func (a *Authority) make() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := a.template("slipway-platform", authorityLife)
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	a.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a.store("ca", der, key)
}

// A Request describes a certificate.
type Request struct {
	// Name is the file name; CommonName and Organizations are the subject: Kubernetes' user and groups.
	Name          string
	CommonName    string
	Organizations []string
	// Hosts are the names and addresses of a server; a certificate without any is for clients only.
	Hosts []string
}

// Issue creates the certificate unless one with the same subject and hosts exists that this authority has signed and that
// does not expire soon.
func (a *Authority) Issue(r Request) error {
	cert, _, err := a.load(r.Name)
	if err == nil && a.covers(cert, r) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := a.template(r.CommonName, life)
	t.Subject.Organization = r.Organizations
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(r.Hosts) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range r.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", r.Name, err)
	}
	return a.store(r.Name, der, key)
}

func (a *Authority) covers(cert *x509.Certificate, r Request) bool {
	var hosts []string
	hosts = append(hosts, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	want := slices.Clone(r.Hosts)
	slices.Sort(hosts)
	slices.Sort(want)
	return cert.CheckSignatureFrom(a.cert) == nil && a.now().Before(cert.NotAfter.Add(-renewal)) &&
		cert.Subject.CommonName == r.CommonName && slices.Equal(cert.Subject.Organization, r.Organizations) &&
		slices.Equal(hosts, want)
}

// KeyPair creates NAME.key and NAME.pub, for signatures without a certificate (service account tokens), unless they exist.
func (a *Authority) KeyPair(name string) error {
	if _, err := os.Stat(filepath.Join(a.dir, name+".pub")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := a.storeKey(name, key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return a.write(name+".pub", "PUBLIC KEY", der)
}

func (a *Authority) template(name string, life time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // crypto/rand does not fail
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    a.now().Add(-5 * time.Minute),
		NotAfter:     a.now().Add(life),
	}
}

func (a *Authority) load(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, err := os.ReadFile(filepath.Join(a.dir, name+".crt"))
	if err != nil {
		return nil, nil, err
	}
	key, err := os.ReadFile(filepath.Join(a.dir, name+".key"))
	if err != nil {
		return nil, nil, err
	}
	c, _ := pem.Decode(bytes.TrimSpace(cert))
	k, _ := pem.Decode(bytes.TrimSpace(key))
	if c == nil || k == nil {
		return nil, nil, fmt.Errorf("%s.crt or %s.key is not PEM", name, name)
	}
	parsed, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.ParseECPrivateKey(k.Bytes)
	return parsed, private, err
}

// store writes the key first: a certificate that exists has its key.
func (a *Authority) store(name string, der []byte, key *ecdsa.PrivateKey) error {
	if err := a.storeKey(name, key); err != nil {
		return err
	}
	return a.write(name+".crt", "CERTIFICATE", der)
}

func (a *Authority) storeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return a.write(name+".key", "EC PRIVATE KEY", der)
}

func (a *Authority) write(name, kind string, der []byte) error {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path+".tmp", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
