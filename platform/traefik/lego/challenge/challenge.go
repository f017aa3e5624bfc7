// Package challenge has the interface of those who answer challenges.
package challenge

// A Provider answers challenges.
type Provider interface {
	Present(domain, token, keyAuth string) error
	CleanUp(domain, token, keyAuth string) error
}
