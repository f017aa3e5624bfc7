package main

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"

	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// palette colours only what a person sees: w is a terminal that can, and NO_COLOR is not set (see no-color.org).
func palette(w io.Writer) render.Palette {
	file, ok := w.(*os.File)
	return render.NewPalette(ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isatty.IsTerminal(file.Fd()))
}
