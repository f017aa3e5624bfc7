// Package store has one finding that is suppressed and one that is not.
package store

import (
	"crypto/md5"
	"encoding/hex"
	"os"
)

// Digest names a blob; it protects nothing.
func Digest(data []byte) string {
	sum := md5.Sum(data) // #nosec G401 -- a name, not a protection
	return hex.EncodeToString(sum[:])
}

// Save writes for everybody.
func Save(name string, data []byte) {
	os.WriteFile(name, data, 0o777)
}
