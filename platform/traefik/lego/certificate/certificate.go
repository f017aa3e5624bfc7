// Package certificate would obtain certificates.
package certificate

// An ObtainRequest says for what a certificate is wanted.
type ObtainRequest struct {
	Domains        []string
	Bundle         bool
	PreferredChain string
}

// RenewOptions are those of a renewal.
type RenewOptions struct {
	Bundle         bool
	PreferredChain string
}

// A Resource is a certificate and its key.
type Resource struct {
	Domain                  string
	PrivateKey, Certificate []byte
}
