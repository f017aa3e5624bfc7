// Package auth authenticates clients and returns their scopes.
package auth

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// Client is an authenticated client.
type Client struct {
	Name   string
	Scopes []string
}

// MinKeyLength is the minimum length of an API key.
const MinKeyLength = 16

// Keys maps API keys to clients. It holds hashes only: the time of a lookup does not depend on the key, and a heap dump does
// not contain the keys.
type Keys map[[sha256.Size]byte]Client

// ParseKeys reads one client per line: its name, its key and its scopes, separated by spaces; # begins a comment.
// Errors contain the line number, never the key.
func ParseKeys(text string) (Keys, error) {
	keys := Keys{}
	var errs []error
	scanner := bufio.NewScanner(strings.NewReader(text))
	for line := 1; scanner.Scan(); line++ {
		content, _, _ := strings.Cut(scanner.Text(), "#")
		fields := strings.Fields(content)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 {
			errs = append(errs, fmt.Errorf("api_keys: line %d: want a name, a key and scopes, as: shop KEY orders:read,orders:write", line))
			continue
		}
		if len(fields[1]) < MinKeyLength {
			errs = append(errs, fmt.Errorf("api_keys: line %d: the key of %s must have at least %d characters", line, fields[0], MinKeyLength))
			continue
		}
		hash := sha256.Sum256([]byte(fields[1]))
		if other, taken := keys[hash]; taken {
			errs = append(errs, fmt.Errorf("api_keys: line %d: %s has the key of %s", line, fields[0], other.Name))
		}
		keys[hash] = Client{Name: fields[0], Scopes: strings.Split(fields[2], ",")}
	}
	if err := scanner.Err(); err != nil {
		errs = append(errs, fmt.Errorf("api_keys: %w", err))
	}
	return keys, errors.Join(errs...)
}

// Find returns the client of a key.
func (k Keys) Find(key string) (Client, bool) {
	c, ok := k[sha256.Sum256([]byte(key))]
	return c, ok
}
