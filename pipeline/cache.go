package pipeline

import (
	"gitlab.com/slipway-ci/slipway/pipeline/internal/memo"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/parsed"
)

// A cache keeps what a project was asked for, for the next event.
type cache struct {
	parsed parsed.Cache
	// loaded are the trees of files with their inputs interpolated.
	loaded         memo.Memo[loadedKey, *variants[*node]]
	configurations variants[*configuration]
	// repositories are other projects by "path@ref". Each is resolved once, so that a plan is of one moment.
	repositories memo.Memo[string, repositoryResult]
}

// A loadedKey is a file with the node of its inputs, nil if there are none. The node is the same for every event,
// since it is part of a file that was loaded before.
type loadedKey struct {
	file  parsed.FileKey
	given *node
}
