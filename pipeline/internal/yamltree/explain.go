package yamltree

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Explain returns the error for the text of a file. The parser names the token that it met; where the text shows what its author
// did, the result says that instead, with a hint.
func Explain(err SyntaxError, content []byte) SyntaxError {
	// What is missing at the end is missing after the last line.
	if all := textLines(content); err.Position.Line == len(all) && len(all) > 1 && all[len(all)-1] == "" {
		err.Position.Line--
	}
	for _, look := range []func(*SyntaxError, []byte) bool{
		explainEncoding, explainConflict, explainTab, explainAnchor, explainFirstCharacter, explainIndentation, explainToken,
	} {
		if look(&err, content) {
			break
		}
	}
	return err
}

// explainEncoding finds the byte that is not text.
func explainEncoding(e *SyntaxError, content []byte) bool {
	first := 1
	switch {
	case e.Message == NotUTF8:
		first = e.Position.Line
	case !strings.HasPrefix(e.Message, "control characters are not allowed"):
		return false
	}
	line, start := 1, 0
	for i, r := range string(content) {
		_, size := utf8.DecodeRune(content[i:])
		invalid := r == utf8.RuneError && size == 1
		if control := r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f; line >= first && (invalid || control) {
			e.Position.Line, e.Position.Column = line, utf8.RuneCount(content[start:i])+1
			e.Message = fmt.Sprintf("the byte 0x%02x is not valid UTF-8", content[i])
			e.Hint = "save the file as UTF-8"
			return true
		}
		if r == '\n' {
			line, start = line+1, i+1
		}
	}
	return false
}

func explainConflict(e *SyntaxError, content []byte) bool {
	for i, line := range textLines(content) {
		if strings.HasPrefix(line, "<<<<<<< ") {
			e.Position.Line, e.Position.Column = i+1, 1
			e.Message, e.Hint = "this is an unresolved merge conflict", "resolve it, and remove the lines with <<<<<<<, ======= and >>>>>>>"
			return true
		}
	}
	return false
}

// explainTab looks at the line that the parser names and at the next one: it counts from where the block begins.
func explainTab(e *SyntaxError, content []byte) bool {
	for _, number := range []int{e.Position.Line, e.Position.Line + 1} {
		text := textLine(content, number)
		indentation := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		if tab := strings.IndexByte(indentation, '\t'); tab >= 0 && len(indentation) < len(text) {
			e.Position.Line, e.Position.Column = number, tab+1
			e.Message, e.Hint = "a tab indents this line", "indent with spaces only"
			return true
		}
	}
	return false
}

func explainAnchor(e *SyntaxError, content []byte) bool {
	m := regexp.MustCompile(`^unknown anchor '(.+)' referenced$`).FindStringSubmatch(e.Message)
	if m == nil {
		return false
	}
	use := regexp.MustCompile(`(?:^|[\s\[,{])\*` + regexp.QuoteMeta(m[1]) + `(?:[\s\],}]|$)`)
	for i, line := range textLines(content) {
		if at := use.FindStringIndex(line); at != nil && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			e.Position.Line, e.Position.Column = i+1, at[0]+strings.IndexByte(line[at[0]:], '*')+1
			break
		}
	}
	e.Message = fmt.Sprintf("there is no anchor &%s above *%s in this file", m[1], m[1])
	e.Hint = "take parts of other files with `extends` or `!reference`; put a text that begins with * in quotes"
	return true
}

func explainFirstCharacter(e *SyntaxError, content []byte) bool {
	if e.Message != "found character that cannot start any token" {
		return false
	}
	text := textLine(content, e.Position.Line)
	m := regexp.MustCompile("^\\s*(?:- +)*(?:[^\\s'\"#][^:]*:\\s+)?([@`%]|\\{%)").FindStringSubmatchIndex(text)
	if m == nil {
		return false
	}
	e.Position.Column = utf8.RuneCountInString(text[:m[2]]) + 1
	e.Message, e.Hint = fmt.Sprintf("no value begins with %s", text[m[2]:m[3]]), "put the value in quotes"
	return true
}

// indented are complaints about a token that stands in the wrong column; the parser names the line where the block begins.
var indented = []string{
	"did not find expected key", "did not find expected '-' indicator", "mapping values are not allowed in this context",
	"block sequence entries are not allowed in this context",
}

// explainIndentation finds the first line whose indentation is that of no block around it.
func explainIndentation(e *SyntaxError, content []byte) bool {
	if !slices.Contains(indented, e.Message) {
		return false
	}
	keyed := regexp.MustCompile(`^[^\s'"#\[{][^#]*:(?:\s|$)`)
	opensBlock := regexp.MustCompile(`(?::|^-|\s-)(?:\s+[&!][^\s]*)*\s*(?:#.*)?$`)
	all := textLines(content)
	var blocks []int // the columns in which the open blocks begin
	for i := 0; i < len(all); i++ {
		text := strings.TrimLeft(all[i], " ")
		if text == "" || text[0] == '#' || strings.HasPrefix(all[i], "---") {
			continue
		}
		column := len(all[i]) - len(text)
		for len(blocks) > 0 && blocks[len(blocks)-1] > column {
			blocks = blocks[:len(blocks)-1]
			if len(blocks) == 0 || blocks[len(blocks)-1] < column {
				e.Position.Line, e.Position.Column = i+1, column+1
				e.Message = fmt.Sprintf("this line begins in column %d, no block around it does", column+1)
				e.Hint = "indent the line like those that it belongs to"
				return true
			}
		}
		if len(blocks) == 0 || blocks[len(blocks)-1] < column {
			blocks = append(blocks, column)
		}
		// What follows "- " begins a block, too.
		for inner := text; strings.HasPrefix(inner, "- "); {
			rest := strings.TrimLeft(inner[2:], " ")
			column += len(inner) - len(rest)
			inner = rest
			if keyed.MatchString(inner) || strings.HasPrefix(inner, "- ") {
				blocks = append(blocks, column)
			}
		}
		// A value that begins here may go on in lines that are deeper, indented as they like.
		if !opensBlock.MatchString(text) {
			for i+1 < len(all) && (strings.TrimSpace(all[i+1]) == "" || indentOf(all[i+1]) > blocks[len(blocks)-1]) {
				i++
			}
		}
	}
	return false
}

// explainToken says in other words what the parser says of a token.
func explainToken(e *SyntaxError, _ []byte) bool {
	for _, known := range []struct{ parser, message, hint string }{
		{"mapping values are not allowed in this context", "a second `: ` in one value, or a key that is indented too deep", "put a value with `: ` in quotes"},
		{"could not find expected ':'", "a line that is neither a key nor part of a text", "end a key with a colon; write text of several lines below `|`"},
		{"found unexpected end of stream", "a quote that is opened here is not closed", "close it; in a text in quotes, double the quote"},
		{"did not find expected ',' or ']'", "a list in [ ] is not closed, or a comma is missing", "quote items with [ ] { } or `: ` in them"},
		{"did not find expected ',' or '}'", "a hash in { } is not closed, or a comma is missing", "quote values with [ ] { } or `: ` in them"},
		{"did not find expected node content", "a value is missing", "close the brackets that are open, or write the value"},
		{"did not find expected key", "this block continues with something that is not one of its keys", "put a command with `: ` in quotes as a whole, close quotes, compare the indentation of the lines"},
		{"did not find expected '-' indicator", "this list continues with something that is not an item", "begin each item with `- `, in the same column"},
	} {
		if e.Message == known.parser {
			e.Message, e.Hint = known.message, known.hint
			return true
		}
	}
	return false
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func textLines(content []byte) []string {
	return strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
}

// line returns a line by its number, "" if there is none.
func textLine(content []byte, number int) string {
	all := textLines(content)
	if number < 1 || number > len(all) {
		return ""
	}
	return all[number-1]
}
