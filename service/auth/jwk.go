package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
)

// minRSABits is the least size of an RSA key (RFC 7518, 3.3).
const minRSABits = 2048

// jwk is a published key (RFC 7517), with what it may verify.
type jwk struct {
	id     string
	verify map[string]func(signed, signature []byte) bool // by algorithm
}

// parseKeys reads a set of keys. Those of kinds that are unknown here, or not for signatures, are left out, as RFC 7517
// says; so are private and symmetric ones.
func parseKeys(document []byte) ([]jwk, error) {
	var set struct {
		Keys []struct {
			Kty, Kid, Use, Alg, Crv string
			N, E, X, Y              base64URL
		}
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, err
	}
	var keys []jwk
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		key := jwk{id: k.Kid}
		switch {
		case k.Kty == "RSA":
			key.verify = rsaKey(k.N, k.E)
		case k.Kty == "EC" && k.Crv == "P-256":
			key.verify = ecKey(k.X, k.Y)
		case k.Kty == "OKP" && k.Crv == "Ed25519" && len(k.X) == ed25519.PublicKeySize:
			key.verify = map[string]func(signed, signature []byte) bool{
				"EdDSA": func(signed, signature []byte) bool { return ed25519.Verify(ed25519.PublicKey(k.X), signed, signature) }}
		}
		if k.Alg != "" {
			for algorithm := range key.verify {
				if algorithm != k.Alg {
					delete(key.verify, algorithm)
				}
			}
		}
		if len(key.verify) > 0 {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key for RS256, PS256, ES256 or EdDSA")
	}
	return keys, nil
}

func rsaKey(n, e []byte) map[string]func(signed, signature []byte) bool {
	exponent := new(big.Int).SetBytes(e)
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
	if key.N.BitLen() < minRSABits || !exponent.IsInt64() || exponent.BitLen() > 31 || key.E < 3 {
		return nil
	}
	return map[string]func(signed, signature []byte) bool{
		"RS256": func(signed, signature []byte) bool {
			sum := sha256.Sum256(signed)
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
		},
		"PS256": func(signed, signature []byte) bool {
			sum := sha256.Sum256(signed)
			return rsa.VerifyPSS(key, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		},
	}
}

// p256Bytes is the length of a coordinate, and of either half of a signature.
const p256Bytes = 32

func ecKey(x, y []byte) map[string]func(signed, signature []byte) bool {
	point := slices.Concat([]byte{4}, x, y) // uncompressed (SEC 1, 2.3.3)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil || len(x) != p256Bytes {
		return nil
	}
	return map[string]func(signed, signature []byte) bool{
		"ES256": func(signed, signature []byte) bool {
			if len(signature) != 2*p256Bytes { // RFC 7518, 3.4
				return false
			}
			sum := sha256.Sum256(signed)
			r, s := new(big.Int).SetBytes(signature[:p256Bytes]), new(big.Int).SetBytes(signature[p256Bytes:])
			return ecdsa.Verify(key, sum[:], r, s)
		},
	}
}

// base64URL is text in base64url without padding (RFC 7515, 2).
type base64URL []byte

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *base64URL) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.Strict().DecodeString(string(text))
	return err
}
