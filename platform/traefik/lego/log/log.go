// Package log has the logger that Traefik sets.
package log

// Logger is not used.
var Logger any
