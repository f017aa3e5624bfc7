package httpapi

import (
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/service/order"
)

// etagOf returns the entity tag of an order's version.
func etagOf(o order.Order) string { return `"` + strconv.FormatInt(o.Version, 10) + `"` }

// etags is a parsed If-Match or If-None-Match (RFC 9110, 13.1).
type etags struct {
	any  bool // *
	tags []string
}

// parseETags parses a list of entity tags; ok is false if it is malformed.
func parseETags(header string) (e etags, ok bool) {
	rest := strings.Trim(header, " \t")
	if rest == "*" {
		return etags{any: true}, true
	}
	for {
		rest = strings.TrimLeft(rest, " \t")
		start := rest
		rest = strings.TrimPrefix(rest, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return etags{}, false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return etags{}, false
		}
		rest = rest[end+2:]
		e.tags = append(e.tags, start[:len(start)-len(rest)])
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return e, true
		}
		if rest[0] != ',' {
			return etags{}, false
		}
		rest = rest[1:]
	}
}

// match uses strong comparison, as If-Match requires: a weak tag never matches.
func (e etags) match(tag string) bool {
	for _, t := range e.tags {
		if t == tag {
			return true
		}
	}
	return e.any
}

// matchWeak uses weak comparison, as If-None-Match requires.
func (e etags) matchWeak(tag string) bool {
	for _, t := range e.tags {
		if strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return e.any
}
