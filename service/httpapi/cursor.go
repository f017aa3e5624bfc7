package httpapi

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"uuid"

	"gitlab.com/slipway-ci/slipway/service/order"
)

// cursorVersion lets later releases change the format.
const cursorVersion = "2:"

// encodeCursor encodes the position after which a page begins, opaque to clients.
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
