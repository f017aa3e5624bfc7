package runner

import (
	"fmt"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/executor"
)

// shellScript makes of a job's commands the text that GitLab's runner gives to bash: each command is shown before it runs, the
// first that fails ends the script, and standard input is empty. A prologue comes before it.
//
// The commands are one text that a subshell evaluates, as in the runner. So a syntax error shows when the shell comes to it,
// functions and variables pass from command to command, and `exit` leaves the script with its code.
func shellScript(commands []string) string {
	var b strings.Builder
	for _, c := range commands {
		if strings.TrimSpace(c) == "" {
			continue
		}
		b.WriteString("echo " + executor.Quote(shown(c)) + "\n")
		b.WriteString(strings.TrimRight(c, "\n") + "\n")
	}
	return "set +o noclobber\n: | eval " + executor.Quote(b.String()) + "\nexit 0\n"
}

// shown is how a command appears in the log.
func shown(command string) string {
	first, rest, _ := strings.Cut(strings.TrimSpace(command), "\n")
	if rest == "" {
		return "$ " + first
	}
	return fmt.Sprintf("$ %s # and %s more", first, plural(strings.Count(rest, "\n")+1, "line"))
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
