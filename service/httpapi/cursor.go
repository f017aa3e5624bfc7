package httpapi

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"uuid"

	"gitlab.com/slipway-ci/slipway/service/order"
)

// cursorVersion lets a later release tell the cursors of this one from its own.
const cursorVersion = "2:"

// encodeCursor hides the position after which a page begins, so that clients do not come to depend on what it is.
func encodeCursor(p order.Position) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + strconv.FormatInt(p.CreatedAt.UnixMicro(), 10) + ":" + p.ID))
}

func decodeCursor(cursor string) (order.Position, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return order.Position{}, false
	}
	rest, ok := strings.CutPrefix(string(b), cursorVersion)
	created, id, found := strings.Cut(rest, ":")
	micros, err := strconv.ParseInt(created, 10, 64)
	if !ok || !found || err != nil {
		return order.Position{}, false
	}
	p := order.Position{CreatedAt: time.UnixMicro(micros).UTC(), ID: id}
	u, err := uuid.Parse(id)
	return p, err == nil && u.String() == id && encodeCursor(p) == cursor
}
