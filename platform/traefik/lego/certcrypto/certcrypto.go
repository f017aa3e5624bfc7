// Package certcrypto has the types of keys.
package certcrypto

// A KeyType is the algorithm of a key.
type KeyType string

// The types that Traefik's configuration can name.
const (
	EC256   KeyType = "P256"
	EC384   KeyType = "P384"
	RSA2048 KeyType = "2048"
	RSA4096 KeyType = "4096"
	RSA8192 KeyType = "8192"
)
