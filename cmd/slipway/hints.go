package main

import (
	"errors"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/snapshot"
)

// hints returns the flags that help with problems of a configuration. The library knows their codes only; what it reports has the
// hint, whichever command prints it.
func (f *projectFlags) hints() map[pipeline.Code]string {
	const skip = "--skip-missing skips it"
	network := ""
	if f.includes.offline {
		network = "without --offline it is fetched; "
	}
	server := network
	if f.projects == "" && f.includes.fetch == "" {
		server = "--fetch names a server, and a remote called origin does, too; "
	}
	return map[pipeline.Code]string{
		pipeline.InputRequired:       "give it a default; --input gives a value to one pipeline",
		pipeline.ProjectUnavailable:  server + "--projects names a folder with other projects, " + skip,
		pipeline.TemplateUnavailable: network + "--templates names a folder with GitLab's templates, " + skip,
		pipeline.RemoteUnavailable:   network + skip,
		pipeline.IncludeFailed:       skip,
		pipeline.ForeignComponent:    "write $CI_SERVER_FQDN/project/name@version; --host names another instance, " + skip,
	}
}

// runHints are the flags that help with messages in the log of a job.
var runHints = map[pipeline.Code]string{
	runner.ServicesNotStarted: "--executor docker or podman starts them",
	runner.ReadOnlyFolder:     "--writable names more, --no-sandbox allows all",
}

// errorHints are the flags that help with other errors of the library.
var errorHints = []struct {
	err  error
	hint string
}{
	{snapshot.ErrNotARepository, "-C names another folder"},
	{runner.ErrCacheFolder, "--cache-dir names another folder"},
	{runner.ErrContainerEngine, "--executor shell runs jobs on this machine"},
	{runner.ErrGitLabRunner, "--runner names its path"},
	{runner.ErrNotWaiting, "--run names another run"},
}

// errorHint returns the hint for an error; empty if there is none.
func errorHint(err error) string {
	for _, h := range errorHints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	return ""
}
