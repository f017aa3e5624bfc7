// Package envscope matches the environment scopes of CI/CD variables (https://docs.gitlab.com/ci/environments/#limit-the-environment-scope-of-a-cicd-variable).
package envscope

import (
	"path"
	"strings"
)

// Covers reports whether a scope, in which * stands for any text, has an environment, or all environments of another scope. An empty scope
// is *. Without an environment only that one applies.
func Covers(scope, environment string) bool {
	if scope == "" || scope == "*" {
		return true
	}
	if environment == "" {
		return false
	}
	pattern := strings.NewReplacer("\\", "\\\\", "[", "\\[", "?", "\\?").Replace(scope)
	// A * covers slashes too, which path.Match does not; no environment's name has a NUL.
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(environment, "/", "\x00"))
	return err == nil && ok
}
