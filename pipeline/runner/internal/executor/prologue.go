package executor

import (
	"maps"
	"slices"
	"strings"
)

// bashPrologue and shPrologue make a shell stop at the first failure, also in a pipeline if it can. The trap lets the shell
// wait for its commands, which SIGTERM reaches as well, and pass their exit code on; subshells do not have it.
const (
	bashPrologue = "set -eo pipefail\ntrap : TERM\n"
	shPrologue   = "set -e\nif (set -o pipefail) 2>/dev/null; then set -o pipefail; fi\ntrap : TERM\n"
)

// exports returns the commands that set variables in a POSIX shell.
func exports(variables map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(variables)) {
		if shellName(key) {
			b.WriteString("export " + key + "=" + Quote(variables[key]) + "\n")
		}
	}
	return b.String()
}

// shellName reports whether a variable of this name can be set in a shell.
func shellName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" && (name[0] < '0' || name[0] > '9')
}

// Quote returns a text as one word for every POSIX shell.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
