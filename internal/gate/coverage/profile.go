// Package coverage merges Go's coverage profiles, from tests and from binaries, and says how much of a project and of a
// change is covered, in forms that GitLab and SonarQube read.
package coverage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
)

// A Block is a run of statements that are executed together. Lines and columns count from 1; columns count bytes.
type Block struct {
	StartLine, StartColumn, EndLine, EndColumn int
	Statements                                 int
	// Count is how often the block ran; in mode "set" it is 1 for any number of times.
	Count int64
}

// A File is a source file with its blocks, ordered by their beginning.
type File struct {
	// Name is the profile's, an import path and a file; Path is relative to the repository's root, and empty before
	// [Locate].
	Name, Path string
	Blocks     []Block
}

// A Profile is the coverage of a number of files, ordered by name.
type Profile struct {
	Mode  string
	Files []File
}

// Read reads a profile in Go's text format. A profile without a block is an error: nothing was measured.
func Read(r io.Reader) (*Profile, error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	if !s.Scan() {
		return nil, errors.Join(errors.New("the profile is empty"), s.Err())
	}
	mode, ok := strings.CutPrefix(s.Text(), "mode: ")
	if !ok {
		return nil, fmt.Errorf("this is not a coverage profile: it begins with %.40q instead of \"mode: \"", s.Text())
	}
	p := &Profile{Mode: mode}
	files := map[string]map[Block]int64{}
	for n := 2; s.Scan(); n++ {
		// Profiles that were put together with cat have a mode in the middle.
		if s.Text() == "" || strings.HasPrefix(s.Text(), "mode: ") {
			continue
		}
		name, b, err := parseBlock(s.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if files[name] == nil {
			files[name] = map[Block]int64{}
		}
		count := b.Count
		b.Count = 0
		files[name][b] = add(files[name][b], count)
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("the profile has no block: nothing was measured")
	}
	p.Files = assemble(files)
	return p, nil
}

// parseBlock reads "name.go:10.2,12.3 4 1".
func parseBlock(line string) (name string, b Block, err error) {
	bad := fmt.Errorf("%.80q is not a line of a profile; is the file truncated?", line)
	colon := strings.LastIndexByte(line, ':')
	if colon <= 0 {
		return "", b, bad
	}
	fields := strings.FieldsFunc(line[colon+1:], func(r rune) bool { return r == '.' || r == ',' || r == ' ' })
	if len(fields) != 6 {
		return "", b, bad
	}
	var numbers [6]int64
	for i, f := range fields {
		if numbers[i], err = strconv.ParseInt(f, 10, 64); err != nil || numbers[i] < 0 {
			return "", b, bad
		}
	}
	for _, n := range numbers[:5] {
		if n > math.MaxInt32 {
			return "", b, bad
		}
	}
	return line[:colon], Block{int(numbers[0]), int(numbers[1]), int(numbers[2]), int(numbers[3]), int(numbers[4]), numbers[5]}, nil
}

// add adds counts that can be near the end of their type.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func assemble(files map[string]map[Block]int64) []File {
	list := make([]File, 0, len(files))
	for name, blocks := range files {
		f := File{Name: name}
		for b, count := range blocks {
			b.Count = count
			f.Blocks = append(f.Blocks, b)
		}
		sort.Slice(f.Blocks, func(i, j int) bool { return f.Blocks[i].before(f.Blocks[j]) })
		list = append(list, f)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}

func (b Block) before(c Block) bool {
	if b.StartLine != c.StartLine {
		return b.StartLine < c.StartLine
	}
	if b.StartColumn != c.StartColumn {
		return b.StartColumn < c.StartColumn
	}
	if b.EndLine != c.EndLine {
		return b.EndLine < c.EndLine
	}
	return b.EndColumn < c.EndColumn
}

// Merge adds profiles up. A block that any of them has run is covered.
func Merge(profiles ...*Profile) *Profile {
	merged := &Profile{}
	files := map[string]map[Block]int64{}
	for _, p := range profiles {
		switch {
		case merged.Mode == "":
			merged.Mode = p.Mode
		case merged.Mode != p.Mode:
			merged.Mode = "count"
		}
		for _, f := range p.Files {
			if files[f.Name] == nil {
				files[f.Name] = map[Block]int64{}
			}
			for _, b := range f.Blocks {
				count := b.Count
				b.Count = 0
				files[f.Name][b] = add(files[f.Name][b], count)
			}
		}
	}
	merged.Files = assemble(files)
	if merged.Mode == "set" {
		for _, f := range merged.Files {
			for i := range f.Blocks {
				f.Blocks[i].Count = min(f.Blocks[i].Count, 1)
			}
		}
	}
	return merged
}

// Write writes Go's text format, which `go tool cover` and SonarQube read.
func (p *Profile) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "mode: %s\n", p.Mode)
	for _, f := range p.Files {
		for _, k := range f.Blocks {
			fmt.Fprintf(b, "%s:%d.%d,%d.%d %d %d\n", f.Name, k.StartLine, k.StartColumn, k.EndLine, k.EndColumn, k.Statements, k.Count)
		}
	}
	return b.Flush()
}

// A Ratio is so many of so many.
type Ratio struct{ Covered, All int }

// Percent is from 0 to 100, rounded down to one decimal, so that 79.96 % is not taken for the 80 % that it is not.
// Nothing of nothing is 100.
func (r Ratio) Percent() float64 {
	if r.All == 0 {
		return 100
	}
	return float64(r.Covered*1000/r.All) / 10
}

// Reaches reports whether the ratio is at least a percentage, without any rounding.
func (r Ratio) Reaches(percent float64) bool {
	return float64(r.Covered)*100 >= percent*float64(r.All)
}

// Total counts statements, as `go tool cover -func` does.
func (p *Profile) Total() Ratio {
	var r Ratio
	for _, f := range p.Files {
		for _, b := range f.Blocks {
			r.All += b.Statements
			if b.Count > 0 {
				r.Covered += b.Statements
			}
		}
	}
	return r
}
