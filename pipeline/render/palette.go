// Package render writes plans as text, as a Mermaid graph, and as the answer to "why is this job here?".
package render

// A Palette colours words of a text. The zero value colours nothing.
type Palette struct{ on bool }

// NewPalette returns ANSI colours if on.
func NewPalette(on bool) Palette { return Palette{on: on} }

// Bold is for headings, Dim for what may be skipped, Red for errors, Yellow for what waits for a person or warns, Green
// for what is well.
func (p Palette) Bold(s string) string   { return p.paint("1", s) }
func (p Palette) Dim(s string) string    { return p.paint("2", s) }
func (p Palette) Red(s string) string    { return p.paint("31", s) }
func (p Palette) Yellow(s string) string { return p.paint("33", s) }
func (p Palette) Green(s string) string  { return p.paint("32", s) }

func (p Palette) paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
