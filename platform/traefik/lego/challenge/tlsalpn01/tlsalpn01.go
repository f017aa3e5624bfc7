// Package tlsalpn01 has the protocol of challenges by TLS.
package tlsalpn01

import "errors"

// ACMETLS1Protocol is the protocol's name (RFC 8737, section 6.2).
const ACMETLS1Protocol = "acme-tls/1"

// ChallengeBlocks would return a certificate that answers a challenge, and its key.
func ChallengeBlocks(_, _ string) (certificate, key []byte, err error) {
	return nil, nil, errors.ErrUnsupported
}
