package main

import "gitlab.com/slipway-ci/slipway/pipeline"

// hints are the flags that help with errors of the library.
var hints = map[pipeline.Code]string{
	pipeline.InputRequired: "give it a default; --input gives a value to one pipeline",
}
