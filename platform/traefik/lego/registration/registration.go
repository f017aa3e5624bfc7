// Package registration has the options of an account at a certificate authority.
package registration

// RegisterOptions are those of an account.
type RegisterOptions struct{ TermsOfServiceAgreed bool }

// RegisterEABOptions are those of an account that exists elsewhere.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid, HmacEncoded     string
}

// A Resource is an account.
type Resource struct {
	URI string `json:"uri,omitempty"`
}
