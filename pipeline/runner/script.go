package runner

import (
	"fmt"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/executor"
)

// scriptOptions are how a script runs.
type scriptOptions struct {
	// dir is the folder that it begins in.
	dir string
	// trace shows every command that the shell runs (CI_DEBUG_TRACE).
	trace bool
	// sections puts the text of commands with several lines into sections of the log (FF_SCRIPT_SECTIONS).
	sections bool
	// legacyEval loses the exit codes of commands, as runners before 19.1 did by default (FF_USE_LEGACY_BASH_EVAL).
	legacyEval bool
	// variables are those of the job that a shell does not take from its environment.
	variables map[string]string
}

// shellVariables are variables of the shell itself, which it sets to values of its own when it starts.
var shellVariables = []string{"IFS", "OPTIND", "PS4", "RANDOM", "SECONDS"}

// shellScript returns the script of a job's commands: each is shown before it runs, the first that fails ends the script with its
// exit code, and standard input is empty. A prologue comes before it.
//
// The commands are one text that a subshell evaluates, as in GitLab's runner. So a syntax error shows when the shell comes to it,
// functions and variables pass from command to command, and `exit` leaves the script with its code.
func shellScript(commands []string, o scriptOptions) string {
	var b strings.Builder
	var assignments string
	if o.trace {
		b.WriteString("set -o xtrace\n")
	}
	b.WriteString("cd " + executor.Quote(o.dir) + "\n")
	number := 0
	for _, c := range commands {
		if strings.TrimSpace(c) == "" {
			b.WriteString("echo\n")
			continue
		}
		if o.sections && strings.Contains(strings.TrimSpace(c), "\n") {
			fmt.Fprintf(&b, "printf 'section_start:%%s:section_script_step_%d[hide_duration=true,collapsed=true]\\r\\033[0K%%s\\n' \"$(date +%%s)\" %s\n", number,
				executor.Quote("$ "+strings.TrimSpace(c)))
			fmt.Fprintf(&b, "printf 'section_end:%%s:section_script_step_%d\\r\\033[0K\\n' \"$(date +%%s)\"\n", number)
		} else {
			b.WriteString("echo " + executor.Quote(shown(c)) + "\n")
		}
		b.WriteString(strings.TrimRight(c, "\n") + "\n")
		number++
	}
	for _, name := range shellVariables {
		if value, set := o.variables[name]; set {
			assignments += "export " + name + "=" + executor.Quote(value) + "\n"
		}
	}
	if o.legacyEval {
		return "set +o noclobber\n" + assignments + ": | eval " + executor.Quote(b.String()) + "\nexit 0\n"
	}
	// Both shells have the trap: the subshell would lose that of the shell around it.
	return "set +o noclobber\n" + assignments + "trap 'exit 1' TERM\n(trap 'exit 1' TERM; eval " + executor.Quote(b.String()) + ") </dev/null\nexit 0\n"
}

// shown returns a command as it appears in the log of GitLab's runner.
func shown(command string) string {
	first, _, more := strings.Cut(strings.TrimSpace(command), "\n")
	if more {
		return "$ " + first + " # collapsed multi-line command"
	}
	return "$ " + first
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
