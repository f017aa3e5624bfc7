// Package docs has the address of this repository's documentation, which messages link to.
package docs

// base is the address of the folder docs/. The tools image of a mirror is built with the mirror's:
// -ldflags "-X gitlab.com/slipway-ci/slipway/internal/docs.base=https://gitlab.example.com/platform/slipway/-/blob/main/docs".
var base = "https://gitlab.com/slipway-ci/slipway/-/blob/main/docs"

// Page returns the address of a page of docs/.
func Page(name string) string { return base + "/" + name }
