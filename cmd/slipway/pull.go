package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/envscope"
	"gitlab.com/slipway-ci/slipway/internal/gitlabapi"
)

// newVariablesCommand is `slipway variables`.
func newVariablesCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "variables",
		Short: "Fetch the project's CI/CD variables for runs on this machine",
		Args:  noArguments,
	}
	command.AddCommand(newPullCommand())
	return command
}

// newPullCommand is `slipway variables pull`.
func newPullCommand() *cobra.Command {
	var where projectFlags
	var output string
	command := &cobra.Command{
		Use:   "pull",
		Short: "Fetch the CI/CD variables of the project and its groups from GitLab",
		Long: `Fetch the CI/CD variables of the project and its groups from GitLab into a file for --variables.

The token is read from SLIPWAY_TOKEN, GITLAB_TOKEN or CI_JOB_TOKEN; it needs the scope read_api
and a person who may read the variables (Maintainer, or Owner of the groups). Groups that it may
not read are reported and left out. Those of the instance are fetched if the token is one of an
administrator. No value is printed, and only you can read the file. Values that are hidden on
GitLab are empty.`,
		Example: `  slipway variables pull
  slipway variables pull --output /run/user/1000/app.json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := where.identify(cmd.Context()); err != nil {
				return err
			}
			return pullVariables(cmd, &where, output)
		},
	}
	where.cmd = command
	flags := command.Flags()
	flags.StringVarP(&where.dir, "directory", "C", ".", "`FOLDER` of the project, or one below it")
	flags.StringVar(&where.path, "project-path", "", "the project's `PATH` on GitLab (default: that of origin)")
	flags.StringVar(&where.host, "host", "", "the GitLab instance's `HOST` (default: that of origin)")
	flags.StringVarP(&output, "output", "o", "", "`FILE` to write (default: .slipway/variables.json in the project)")
	_ = command.MarkFlagDirname("directory")
	_ = command.MarkFlagFilename("output", "json")
	return command
}

// pullVariables writes the variables of a project to a file, and reports how many they are.
func pullVariables(cmd *cobra.Command, where *projectFlags, output string) error {
	if !where.knownHost || !where.knownPath {
		return errUnknownProject
	}
	token := apiToken()
	if token == nil {
		return errors.New("there is no token: set SLIPWAY_TOKEN or GITLAB_TOKEN to one with the scope read_api")
	}
	api := variableAPI{base: cmp.Or(where.protocol, "https") + "://" + where.host + "/api/v4", token: token}
	all, err := api.list(cmd.Context(), "projects/"+url.PathEscape(where.path)+"/variables", where.path)
	if err != nil {
		return err
	}
	own := len(all)
	for group := parentGroup(where.path); group != ""; group = parentGroup(group) {
		inherited, err := api.list(cmd.Context(), "groups/"+url.PathEscape(group)+"/variables", group)
		if isRefusal(err) {
			where.note("the variables of the group %s are left out: %v", group, err)
			continue
		}
		if err != nil {
			return err
		}
		all = addInherited(all, inherited)
	}
	ofGroups := len(all) - own
	inherited, err := api.list(cmd.Context(), "admin/ci/variables", "the instance")
	if err != nil && !isRefusal(err) {
		return err
	}
	all = addInherited(all, inherited)
	output = cmp.Or(output, filepath.Join(where.dir, ".slipway", "variables.json"))
	if err := writePrivate(output, all); err != nil {
		return err
	}
	hidden := 0
	for _, v := range all {
		if v.Value == nil {
			hidden++
		}
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Wrote %s: %d variables of the project, %d of its groups, %d of the instance\n", output, own, ofGroups, len(all)-own-ofGroups)
	if hidden > 0 {
		fmt.Fprintf(out, "%d are hidden on GitLab and empty in the file\n", hidden)
	}
	if where.repository != nil && gitLine(cmd.Context(), filepath.Dir(output), "check-ignore", filepath.Base(output)) == "" &&
		gitLine(cmd.Context(), filepath.Dir(output), "rev-parse", "--is-inside-work-tree") == "true" {
		where.note("git does not ignore %s: add it to .gitignore, for it holds secrets", output)
	}
	return nil
}

// parentGroup returns the path of the group that holds a project or a group; empty if there is none.
func parentGroup(path string) string {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)]
}

// isRefusal reports whether GitLab does not let the token read something, or hides it.
func isRefusal(err error) bool {
	status, ok := errors.AsType[*statusError](err)
	return ok && (status.code == http.StatusForbidden || status.code == http.StatusNotFound)
}

// addInherited adds the variables of a group, or the instance, to those of the levels below. A level below wins in all environments that
// its scopes cover, however specific the scope of the level above is.
func addInherited(near, far []apiVariable) []apiVariable {
	known := slices.Clone(near)
	for _, v := range far {
		if !slices.ContainsFunc(known, func(n apiVariable) bool { return n.Key == v.Key && envscope.Covers(n.Scope, cmp.Or(v.Scope, "*")) }) {
			near = append(near, v)
		}
	}
	return near
}

// writePrivate writes variables in the form of GitLab's API. Only the user can read the file, also while it is written.
func writePrivate(path string, variables []apiVariable) error {
	data, err := json.MarshalIndent(append([]apiVariable{}, variables...), "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the variables: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".variables-*") // which has the mode 0600
	if err != nil {
		return fmt.Errorf("write the variables: %w", err)
	}
	_, err = file.Write(append(data, '\n'))
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the variables: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// A variableAPI reads CI/CD variables from a GitLab instance
// (https://docs.gitlab.com/api/project_level_variables/, https://docs.gitlab.com/api/group_level_variables/,
// https://docs.gitlab.com/api/instance_level_ci_variables/).
type variableAPI struct {
	base  string
	token http.Header
}

// A statusError is an answer of GitLab's that is not 200.
type statusError struct {
	code    int
	subject string
}

func (e *statusError) Error() string {
	switch e.code {
	case http.StatusUnauthorized:
		return "GitLab does not accept the token: it is wrong, or has expired"
	case http.StatusForbidden:
		return "the token may not read the variables of " + e.subject + ": it needs the scope read_api and the role Maintainer (of a group, Owner)"
	case http.StatusNotFound:
		return "GitLab has no " + e.subject + " that the token may see"
	}
	return fmt.Sprintf("GitLab answers with %d for the variables of %s", e.code, e.subject)
}

const maxVariablePages = 1000

// list reads all pages of a list of variables; subject is whose they are.
func (a variableAPI) list(ctx context.Context, path, subject string) ([]apiVariable, error) {
	var all []apiVariable
	page := "1"
	for range maxVariablePages {
		address := fmt.Sprintf("%s/%s?per_page=100&page=%s", a.base, path, url.QueryEscape(page))
		items, next, err := a.page(ctx, address, subject)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if page = next; page == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("the variables of %s have no last page", subject)
}

// page reads one page, and returns the number of the next one, empty after the last.
func (a variableAPI) page(ctx context.Context, address, subject string) (items []apiVariable, next string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, "", err
	}
	response, err := gitlabapi.Do(request, a.token)
	if err != nil {
		return nil, "", fmt.Errorf("ask GitLab for variables: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, "", &statusError{response.StatusCode, subject}
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(&items); err != nil {
		return nil, "", fmt.Errorf("GitLab's answer for the variables of %s is not a list of variables", subject)
	}
	return items, response.Header.Get("X-Next-Page"), nil
}
