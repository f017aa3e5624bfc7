package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/resolver"
)

// includeFlags say where the files of other projects are. Without any, only the project's own files can be included, and
// nothing reaches the network.
type includeFlags struct {
	projects         []string
	templates, fetch string
	offline, remote  bool
	skip             bool
	cmd              *cobra.Command

	chain resolver.Chain
}

func (f *includeFlags) bind(cmd *cobra.Command, _ *projectFlags) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.StringSliceVar(&f.projects, "projects", nil, "`FOLDER` with included projects: clones or plain folders named group/project, or group/project@ref (repeatable)")
	flags.StringVar(&f.fetch, "fetch", "", "fetch included projects by git from the server at this `URL`, as in https://gitlab.com; what was fetched is kept")
	flags.BoolVar(&f.offline, "offline", false, "with --fetch: use only what was fetched before")
	flags.BoolVar(&f.remote, "remote-includes", false, "read include:remote over https")
	flags.StringVar(&f.templates, "templates", "", "`FOLDER` with GitLab's templates, for include:template")
	flags.BoolVar(&f.skip, "skip-missing", false, "leave out includes that are not to be had here, and what refers to them; say what was left out")
	_ = cmd.MarkFlagDirname("projects")
	_ = cmd.MarkFlagDirname("templates")
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		defer f.chain.Close()
		return inner(cmd, args)
	}
}

// skipping gives the function that leaves out what is not to be had, naming each once; nil without the flag.
func (f *includeFlags) skipping() func(*pipeline.Error) bool {
	if !f.skip {
		return nil
	}
	var mu sync.Mutex
	named := map[string]bool{}
	return func(e *pipeline.Error) bool {
		mu.Lock()
		defer mu.Unlock()
		if line := fmt.Sprintf("%s:%d: %s: left out", e.Position.File, e.Position.Line, e.Message); !named[line] {
			named[line] = true
			fmt.Fprintln(f.cmd.ErrOrStderr(), "slipway: "+line)
		}
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
	if f.fetch != "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("--fetch needs a cache folder: %w", err)
		}
		f.chain = append(f.chain, &resolver.Git{BaseURL: f.fetch, Cache: filepath.Join(cache, "slipway", "includes"), Offline: f.offline})
	}
	if f.remote {
		f.chain = append(f.chain, resolver.Remote{})
	}
	if f.templates != "" {
		if info, err := os.Stat(f.templates); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("--templates: no folder %s", f.templates)
		}
		f.chain = append(f.chain, resolver.Templates{Files: os.DirFS(f.templates)})
	}
	return f.chain, nil
}
