package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/resolver"
)

// includeFlags say where the files of other projects are. Without any they come from the project's GitLab instance, by git and HTTP.
type includeFlags struct {
	projects         []string
	templates, fetch string
	offline, skip    bool
	cmd              *cobra.Command
	where            *projectFlags

	chain resolver.Chain
	mu    sync.Mutex
	told  map[string]bool
}

func (f *includeFlags) bind(cmd *cobra.Command, where *projectFlags) {
	f.cmd, f.where = cmd, where
	flags := cmd.Flags()
	flags.StringSliceVar(&f.projects, "projects", nil, "`FOLDER` with included projects: clones or folders named group/project, or group/project@ref (repeatable)")
	flags.StringVar(&f.fetch, "fetch", "", "fetch included projects by git from the server at this `URL` (default: origin's server)")
	flags.BoolVar(&f.offline, "offline", false, "do not use the network: included files come from folders and earlier runs")
	flags.StringVar(&f.templates, "templates", "", "`FOLDER` with GitLab's templates (default: they are read from GitLab)")
	flags.BoolVar(&f.skip, "skip-missing", false, "skip includes that are unavailable, and what refers to them, and report them")
	_ = cmd.MarkFlagDirname("projects")
	_ = cmd.MarkFlagDirname("templates")
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		defer f.chain.Close()
		return inner(cmd, args)
	}
}

// warn writes a message to standard error, once.
func (f *includeFlags) warn(message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told == nil {
		f.told = map[string]bool{}
	}
	if !f.told[message] {
		f.told[message] = true
		fmt.Fprintln(f.cmd.ErrOrStderr(), "slipway: "+message)
	}
}

// skipping returns the function that leaves out what is unavailable, naming each once; nil without the flag.
func (f *includeFlags) skipping() func(*pipeline.Error) bool {
	if !f.skip {
		return nil
	}
	return func(e *pipeline.Error) bool {
		f.warn(fmt.Sprintf("%s:%d: %s: skipped", e.Position.File, e.Position.Line, e.Message))
		return true
	}
}

// resolver is where includes are looked for, made once.
func (f *includeFlags) resolver() (resolver.Chain, error) {
	if f.chain != nil {
		return f.chain, nil
	}
	f.chain = resolver.Chain{}
	for _, dir := range f.projects {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("--projects: no folder %s", dir)
		}
		f.chain = append(f.chain, &resolver.Clones{Root: dir}, resolver.Folder{Files: os.DirFS(dir)})
	}
	if f.templates != "" {
		if info, err := os.Stat(f.templates); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("--templates: no folder %s", f.templates)
		}
		f.chain = append(f.chain, resolver.Templates{Files: os.DirFS(f.templates)})
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return f.chain, nil //nolint:nilerr // without a cache folder there is no network either; folders work
	}
	cache = filepath.Join(cache, "slipway", "includes")
	// Without an origin the server is unknown.
	if server := cmp.Or(f.fetch, f.where.projects); server != "" {
		f.chain = append(f.chain, &resolver.Git{BaseURL: server, Cache: cache, Offline: f.offline, Warn: f.warn})
	}
	web := resolver.Web{Cache: filepath.Join(cache, "files"), Offline: f.offline, Warn: f.warn, Header: apiToken()}
	if f.where.knownHost {
		web.Instance = cmp.Or(f.where.protocol, "https") + "://" + f.where.host
	}
	f.chain = append(f.chain, web)
	return f.chain, nil
}

// apiToken is the token for GitLab's API from the environment, as the header that it is sent in.
func apiToken() http.Header {
	if token := cmp.Or(os.Getenv("SLIPWAY_TOKEN"), os.Getenv("GITLAB_TOKEN")); token != "" {
		return http.Header{"Private-Token": {token}}
	}
	if token := os.Getenv("CI_JOB_TOKEN"); token != "" {
		return http.Header{"Job-Token": {token}}
	}
	return nil
}
