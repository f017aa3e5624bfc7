// Package dns01 has the options of challenges by DNS.
package dns01

import "strings"

// A ChallengeOption is an option of a challenge.
type ChallengeOption struct{}

// A PreCheckFunc looks for a record.
type PreCheckFunc func(fqdn, value string) (bool, error)

// CondOption returns an option.
func CondOption(bool, ChallengeOption) ChallengeOption { return ChallengeOption{} }

// AddRecursiveNameservers returns an option.
func AddRecursiveNameservers([]string) ChallengeOption { return ChallengeOption{} }

// WrapPreCheck returns an option.
func WrapPreCheck(func(domain, fqdn, value string, check PreCheckFunc) (bool, error)) ChallengeOption {
	return ChallengeOption{}
}

// UnFqdn returns a name without the dot at its end. Traefik compares the names of all certificates with it.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
