package main

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"

	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// palette colours what a person sees: w is a terminal that can. NO_COLOR turns colours off (see no-color.org), FORCE_COLOR turns
// them on for what is not a terminal.
func palette(w io.Writer) render.Palette {
	if os.Getenv("NO_COLOR") == "" && os.Getenv("FORCE_COLOR") != "" && os.Getenv("FORCE_COLOR") != "0" {
		return render.NewPalette(true)
	}
	file, ok := w.(*os.File)
	return render.NewPalette(ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isatty.IsTerminal(file.Fd()))
}
