// Package lego would be the client of a certificate authority.
package lego

import (
	"errors"

	"github.com/go-acme/lego/v4/certcrypto"
	"github.com/go-acme/lego/v4/certificate"
	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/go-acme/lego/v4/registration"
)

// LEDirectoryProduction is the default authority of Traefik's configuration.
const LEDirectoryProduction = "https://acme-v02.api.letsencrypt.org/directory"

var errNone = errors.New("this Traefik is compiled without ACME: name a Secret with the certificate")

// A Config is the configuration of a client.
type Config struct {
	CADirURL, UserAgent string
	Certificate         struct{ KeyType certcrypto.KeyType }
}

// NewConfig returns a configuration.
func NewConfig(any) *Config { return &Config{} }

// A Client is what [NewClient] would return.
type Client struct {
	Challenge    challenges
	Certificate  certifier
	Registration registrar
}

// NewClient returns an error.
func NewClient(*Config) (*Client, error) { return nil, errNone }

type challenges struct{}

func (challenges) SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error {
	return errNone
}
func (challenges) SetHTTP01Provider(challenge.Provider) error    { return errNone }
func (challenges) SetTLSALPN01Provider(challenge.Provider) error { return errNone }

type certifier struct{}

func (certifier) Obtain(certificate.ObtainRequest) (*certificate.Resource, error) {
	return nil, errNone
}
func (certifier) RenewWithOptions(certificate.Resource, *certificate.RenewOptions) (*certificate.Resource, error) {
	return nil, errNone
}

type registrar struct{}

func (registrar) Register(registration.RegisterOptions) (*registration.Resource, error) {
	return nil, errNone
}
func (registrar) RegisterWithExternalAccountBinding(registration.RegisterEABOptions) (*registration.Resource, error) {
	return nil, errNone
}
