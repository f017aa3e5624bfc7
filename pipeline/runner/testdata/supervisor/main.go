// Command supervisor is nothing but [supervise.Main]. The tests start it for each job, because it is smaller than their own binary.
package main

import (
	"os"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
)

func main() {
	os.Exit(supervise.Main(os.Args[1:]))
}
