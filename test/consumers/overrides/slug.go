// Package overrides turns titles into slugs for URLs.
package overrides

import "strings"

// Slug returns the title in lower case, with each run of characters other than letters and digits replaced by one dash.
func Slug(title string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(title) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
