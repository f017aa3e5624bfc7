// Package glob matches paths as GitLab does in `rules:changes` and `rules:exists`: with Ruby's File.fnmatch and the flags
// FNM_PATHNAME, FNM_DOTMATCH and FNM_EXTGLOB. It differs from other globs in that "dir/**" stays in one folder: only "**/"
// goes deeper.
package glob

import (
	"strings"
	"unicode/utf8"
)

// Bounds of what braces expand to; longer globs are taken as they are.
const (
	maxAlternatives = 1000
	maxBraced       = 4096
)

// A Pattern is a glob with its braces expanded.
type Pattern struct {
	alternatives [][]string // each cut at the slashes
}

// Compile reads a glob; every string is one.
func Compile(glob string) Pattern {
	alternatives := []string{glob}
	if len(glob) <= maxBraced {
		alternatives = expand(glob, nil)
	}
	var p Pattern
	for _, alternative := range alternatives {
		p.alternatives = append(p.alternatives, strings.Split(alternative, "/"))
	}
	return p
}

// Match reports whether a path, with slashes, matches.
func (p Pattern) Match(path string) bool {
	segments := strings.Split(path, "/")
	for _, alternative := range p.alternatives {
		if matchSegments(alternative, segments) {
			return true
		}
	}
	return false
}

// Literal reports whether a glob has no meaning beyond its text.
func Literal(glob string) bool { return !strings.ContainsAny(glob, "*?[{") }

func expand(glob string, out []string) []string {
	open, depth, start := -1, 0, 0
	var parts []string
	for i := 0; i < len(glob); i++ {
		switch glob[i] {
		case '\\':
			i++
		case '{':
			if depth == 0 {
				open, start, parts = i, i+1, nil
			}
			depth++
		case ',':
			if depth == 1 {
				parts = append(parts, glob[start:i])
				start = i + 1
			}
		case '}':
			if depth == 0 {
				continue
			}
			if depth--; depth > 0 {
				continue
			}
			parts = append(parts, glob[start:i])
			for _, part := range parts {
				if len(out) >= maxAlternatives {
					return out
				}
				out = expand(glob[:open]+part+glob[i+1:], out)
			}
			return out
		}
	}
	return append(out, glob)
}

// matchSegments walks both paths; after "**/" it tries again one folder deeper whenever the rest does not match.
func matchSegments(pattern, path []string) bool {
	p, s := 0, 0
	againP, againS := -1, 0
	for {
		for p+1 < len(pattern) && pattern[p] == "**" {
			p++
			againP, againS = p, s
		}
		if matchSegment(pattern[p], path[s]) {
			lastP, lastS := p+1 == len(pattern), s+1 == len(path)
			if lastP && lastS {
				return true
			}
			if !lastP && !lastS {
				p++
				s++
				continue
			}
		}
		if againP < 0 || againS+1 >= len(path) {
			return false
		}
		againS++
		p, s = againP, againS
	}
}

// matchSegment matches a name; after "*" it tries again one character later whenever the rest does not match.
func matchSegment(pattern, name string) bool {
	star, again := -1, 0
	p, s := 0, 0
	for s < len(name) || p < len(pattern) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, again = p+1, s
				p++
				continue
			}
			if s < len(name) {
				if np, ns, ok := matchOne(pattern, p, name, s); ok {
					p, s = np, ns
					continue
				}
			}
		}
		if star < 0 || again >= len(name) {
			return false
		}
		_, size := utf8.DecodeRuneInString(name[again:])
		again += size
		p, s = star, again
	}
	return true
}

func matchOne(pattern string, p int, name string, s int) (nextP, nextS int, ok bool) {
	r, size := utf8.DecodeRuneInString(name[s:])
	switch pattern[p] {
	case '?':
		return p + 1, s + size, true
	case '[':
		end, ok := matchClass(pattern, p+1, r)
		return end, s + size, ok
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	want, wantSize := utf8.DecodeRuneInString(pattern[p:])
	return p + wantSize, s + size, want == r && wantSize == size
}

// matchClass reads "[a-z]" from behind its bracket; a class that is not closed matches nothing.
func matchClass(pattern string, p int, r rune) (end int, ok bool) {
	negate := false
	if p < len(pattern) && (pattern[p] == '!' || pattern[p] == '^') {
		negate = true
		p++
	}
	found := false
	for p < len(pattern) && pattern[p] != ']' {
		low, next := classRune(pattern, p)
		high := low
		if next+1 < len(pattern) && pattern[next] == '-' && pattern[next+1] != ']' {
			high, next = classRune(pattern, next+1)
		}
		found = found || low <= r && r <= high
		p = next
	}
	if p >= len(pattern) {
		return p, false
	}
	return p + 1, found != negate
}

func classRune(pattern string, p int) (r rune, next int) {
	if pattern[p] == '\\' && p+1 < len(pattern) {
		p++
	}
	r, size := utf8.DecodeRuneInString(pattern[p:])
	return r, p + size
}
