package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/gitevent"
)

// A settingJSON is the value of a flag and where it comes from.
type settingJSON struct {
	Name     string   `json:"name"`
	Value    string   `json:"value"`
	Source   string   `json:"source"`
	Commands []string `json:"commands"`
}

// newConfigCommand is `slipway config`: the settings that hold.
func newConfigCommand() *cobra.Command {
	var where projectFlags
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "config [COMMAND]",
		Short: "Show the settings in effect, and the source of each",
		Long: `Show the settings in effect, and the source of each.

Every flag of every command has a default that can be set: by a variable SLIPWAY_FLAG
(--project-path is SLIPWAY_PROJECT_PATH), or in the file .slipway.yml of the project. Flags win
over variables, variables over the file, the file over what the repository says (the remote
origin). A key of the file is a flag, for all commands that have it, or a command with flags:

  host: gitlab.example.com
  variables: .slipway/variables.yml
  run:
    executor: podman

Paths in the file are relative to its folder. Defaults are shown only with --all.`,
		Example: `  slipway config
  slipway config run --all
  slipway config --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := collectSettings(cmd, &where, args)
			if err != nil {
				return err
			}
			if !all {
				settings = slices.DeleteFunc(settings, func(s settingJSON) bool { return s.Source == "default" })
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), append([]settingJSON{}, settings...))
			}
			return writeSettings(cmd.OutOrStdout(), settings, len(args) == 0)
		},
	}
	where.bind(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&all, "all", false, "show defaults, too")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return commandNames(), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// collectSettings are the settings of all commands, or of one; those of the same value and source are one.
func collectSettings(cmd *cobra.Command, where *projectFlags, args []string) ([]settingJSON, error) {
	if len(args) > 0 && !slices.Contains(commandNames(), args[0]) {
		return nil, unknownCommand(args[0])
	}
	where.silent = true
	given := map[string]string{}
	for name, value := range map[string]*string{"project-path": &where.path, "host": &where.host, "default-branch": &where.defBranch} {
		given[name] = *value
	}
	if err := where.identify(cmd.Context()); err != nil {
		return nil, err
	}
	known := map[string]string{"project-path": where.path, "host": where.host, "default-branch": where.defBranch}
	var settings []settingJSON
	for _, command := range newRoot("").Commands() {
		if command.Hidden || len(args) > 0 && command.Name() != args[0] || len(args) == 0 && command.Name() == "config" {
			continue
		}
		command.SetErr(io.Discard)
		if dir := command.Flags().Lookup("directory"); dir != nil {
			dir.Changed = true
			if err := dir.Value.Set(where.dir); err != nil {
				return nil, err
			}
		}
		if err := applySettings(command); err != nil {
			return nil, err
		}
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			if slices.Contains(notSettings, flag.Name) {
				return
			}
			s := settingJSON{Name: flag.Name, Value: flag.Value.String(), Source: "default", Commands: []string{command.Name()}}
			if source := flag.Annotations[sourceAnnotation]; source != nil {
				s.Source = source[0]
			} else if value := known[flag.Name]; value != "" && s.Value == "" {
				s.Value, s.Source = value, where.source(flag.Name)
			}
			settings = addSetting(settings, s)
		})
	}
	slices.SortStableFunc(settings, func(a, b settingJSON) int { return strings.Compare(a.Name, b.Name) })
	return settings, nil
}

func addSetting(settings []settingJSON, s settingJSON) []settingJSON {
	for i, other := range settings {
		if other.Name == s.Name && other.Value == s.Value && other.Source == s.Source {
			settings[i].Commands = append(settings[i].Commands, s.Commands...)
			return settings
		}
	}
	return append(settings, s)
}

// source names what a part of the project's identity was read from.
func (f *projectFlags) source(flag string) string {
	var id gitevent.Identity
	if f.repository != nil {
		id = f.repository.Identity
	}
	read := map[string]string{"project-path": id.Path, "host": id.Host, "default-branch": id.DefaultBranch}[flag]
	switch {
	case flag == "host" && id.Foreign != "":
		return id.Foreign + " is not GitLab"
	case read == "":
		return "default"
	case id.Remote == "CI":
		return "the CI variables of this job"
	case id.Remote != "":
		return "git remote " + id.Remote
	}
	return "git branches"
}

func writeSettings(w io.Writer, settings []settingJSON, withCommands bool) error {
	if len(settings) == 0 {
		_, err := fmt.Fprintln(w, "all settings are defaults; --all shows them")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range settings {
		value := s.Value
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s", s.Name, value, s.Source)
		if withCommands {
			fmt.Fprintf(table, "\t%s", strings.Join(s.Commands, " "))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// commandNames are the names of all commands that people see.
func commandNames() []string {
	var names []string
	for _, command := range newRoot("").Commands() {
		if !command.Hidden {
			names = append(names, command.Name())
		}
	}
	return names
}

// unknownCommand is the error about the name of a command, with the name that was probably meant.
func unknownCommand(name string) error {
	if near := spelling.Closest(name, commandNames()); near != "" {
		return fmt.Errorf("no command %q; did you mean %q?", name, near)
	}
	return fmt.Errorf("no command %q; `slipway --help` lists them", name)
}
