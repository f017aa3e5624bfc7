package coverage

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
)

// lineHits returns for every line with code how often it ran: as often as the least executed of the blocks that have
// a token on the line. Of `if err != nil { return err }`, which is two blocks, the line is covered if both are. Braces
// alone are not code, so the `}` of a block is never uncovered.
func lineHits(root string, f File) (map[int]int64, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.Path)))
	if err != nil {
		return nil, err
	}
	hits := map[int]int64{}
	words(source, func(line, column int) {
		b := f.at(line, column)
		if b == nil {
			return
		}
		if old, known := hits[line]; !known || b.Count < old {
			hits[line] = b.Count
		}
	})
	return hits, nil
}

// at returns the innermost block around a position: functions in expressions are blocks inside of blocks.
func (f File) at(line, column int) *Block {
	var found *Block
	for i := range f.Blocks {
		b := &f.Blocks[i]
		if b.StartLine > line || b.StartLine == line && b.StartColumn > column {
			break
		}
		if b.EndLine > line || b.EndLine == line && b.EndColumn > column {
			found = b
		}
	}
	return found
}

// words calls a function with the position of every token that is not only punctuation.
func words(source []byte, at func(line, column int)) {
	files := token.NewFileSet()
	file := files.AddFile("", -1, len(source))
	var s scanner.Scanner
	// Errors do not matter: the file has compiled before.
	s.Init(file, source, func(token.Position, string) {}, 0)
	for {
		pos, tok, _ := s.Scan()
		switch tok {
		case token.EOF:
			return
		case token.LBRACE, token.RBRACE, token.LPAREN, token.RPAREN, token.COMMA, token.SEMICOLON, token.ELSE:
		default:
			p := file.Position(pos)
			at(p.Line, p.Column)
		}
	}
}
