package httpapi

import (
	"encoding/base64"
	"strings"
	"uuid"
)

// cursorVersion lets a later release tell the cursors of this one from its own.
const cursorVersion = "1:"

// encodeCursor hides the id after which a page begins, so that clients do not come to depend on what it is.
func encodeCursor(id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + id))
}

func decodeCursor(cursor string) (id string, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return "", false
	}
	id, ok = strings.CutPrefix(string(b), cursorVersion)
	if !ok {
		return "", false
	}
	u, err := uuid.Parse(id)
	return id, err == nil && u.String() == id
}
