// Command orders is the reference service.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"gitlab.com/slipway-ci/slipway/service/command"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

var version, commit string // set by the linker: -X main.version=… -X main.commit=…

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	p := command.Process{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals}
	os.Exit(command.Run(p, telemetry.NewBuild(version, commit)))
}
