package coverage

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// GitLab's limits for a Cobertura report.
const (
	coberturaBytes   = 10 << 20
	coberturaSources = 100
)

type (
	cobertura struct {
		XMLName         xml.Name           `xml:"coverage"`
		LineRate        string             `xml:"line-rate,attr"`
		BranchRate      string             `xml:"branch-rate,attr"`
		LinesCovered    int                `xml:"lines-covered,attr"`
		LinesValid      int                `xml:"lines-valid,attr"`
		BranchesCovered int                `xml:"branches-covered,attr"`
		BranchesValid   int                `xml:"branches-valid,attr"`
		Complexity      int                `xml:"complexity,attr"`
		Version         string             `xml:"version,attr"`
		Timestamp       int64              `xml:"timestamp,attr"`
		Sources         []string           `xml:"sources>source"`
		Packages        []coberturaPackage `xml:"packages>package"`
	}
	coberturaPackage struct {
		Name       string           `xml:"name,attr"`
		LineRate   string           `xml:"line-rate,attr"`
		BranchRate string           `xml:"branch-rate,attr"`
		Complexity int              `xml:"complexity,attr"`
		Classes    []coberturaClass `xml:"classes>class"`
	}
	coberturaClass struct {
		Name       string          `xml:"name,attr"`
		File       string          `xml:"filename,attr"`
		LineRate   string          `xml:"line-rate,attr"`
		BranchRate string          `xml:"branch-rate,attr"`
		Complexity int             `xml:"complexity,attr"`
		Methods    struct{}        `xml:"methods"`
		Lines      []coberturaLine `xml:"lines>line"`
	}
	coberturaLine struct {
		Number int   `xml:"number,attr"`
		Hits   int64 `xml:"hits,attr"`
	}
)

// WriteCobertura writes the report from which GitLab colours the lines of a merge request. Its file names are relative to
// the repository's root, also for the modules of a monorepo; GitLab silently drops files that it does not find there.
func (p *Profile) WriteCobertura(w io.Writer, root string, now time.Time) error {
	out := cobertura{Version: "slipway", Timestamp: now.UnixMilli(), Sources: []string{"."}, BranchRate: "0"}
	packages := map[string]*coberturaPackage{}
	rates := map[string]*Ratio{}
	var all Ratio
	for _, f := range p.Files {
		hits, err := lineHits(root, f)
		if err != nil {
			return err
		}
		name := path.Dir(f.Name)
		if packages[name] == nil {
			packages[name], rates[name] = &coberturaPackage{Name: name, BranchRate: "0"}, &Ratio{}
		}
		class := coberturaClass{Name: path.Base(f.Path), File: f.Path, BranchRate: "0"}
		var r Ratio
		for line, count := range hits {
			class.Lines = append(class.Lines, coberturaLine{line, count})
			r.All++
			if count > 0 {
				r.Covered++
			}
		}
		sort.Slice(class.Lines, func(i, j int) bool { return class.Lines[i].Number < class.Lines[j].Number })
		class.LineRate = rate(r)
		packages[name].Classes = append(packages[name].Classes, class)
		for _, sum := range []*Ratio{rates[name], &all} {
			sum.All += r.All
			sum.Covered += r.Covered
		}
	}
	for name, k := range packages {
		k.LineRate = rate(*rates[name])
		out.Packages = append(out.Packages, *k)
	}
	sort.Slice(out.Packages, func(i, j int) bool { return out.Packages[i].Name < out.Packages[j].Name })
	out.LineRate, out.LinesCovered, out.LinesValid = rate(all), all.Covered, all.All
	b := bufio.NewWriter(w)
	fmt.Fprint(b, xml.Header, `<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">`, "\n")
	e := xml.NewEncoder(b)
	e.Indent("", " ")
	if err := e.Encode(out); err != nil {
		return err
	}
	return errors.Join(b.WriteByte('\n'), b.Flush())
}

func rate(r Ratio) string { return fmt.Sprintf("%.4f", r.Percent()/100) }

// VerifyCobertura checks that GitLab can use a Cobertura report: it is whole, within the limits,
// and its files are in the repository. It returns the number of files.
func VerifyCobertura(file, root string) (int, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	if info.Size() > coberturaBytes {
		return 0, fmt.Errorf("%s has %d bytes; GitLab takes 10 MiB: split it by module, or exclude generated code", file, info.Size())
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var in cobertura
	if err := xml.Unmarshal(data, &in); err != nil {
		return 0, fmt.Errorf("%s is not a Cobertura report: %w", file, err)
	}
	if len(in.Sources) > coberturaSources {
		return 0, fmt.Errorf("%s has %d sources; GitLab reads %d", file, len(in.Sources), coberturaSources)
	}
	var errs []error
	seen := map[string]bool{}
	for _, p := range in.Packages {
		for _, c := range p.Classes {
			if seen[c.File] {
				continue
			}
			seen[c.File] = true
			if err := inRepository(root, in.Sources, c.File); err != nil {
				errs = append(errs, err)
			}
		}
	}
	switch {
	case len(seen) == 0:
		return 0, fmt.Errorf("%s covers no file", file)
	case len(errs) > 10:
		return 0, errors.Join(append(errs[:10:10], fmt.Errorf("and %d more", len(errs)-10))...)
	}
	return len(seen), errors.Join(errs...)
}

// inRepository looks up a file as GitLab does: as it is, or below a source that is in the repository.
func inRepository(root string, sources []string, file string) error {
	candidates := []string{file}
	for _, s := range sources {
		if relative, err := filepath.Rel(root, s); filepath.IsAbs(s) && err == nil && !strings.HasPrefix(relative, "..") {
			candidates = append(candidates, path.Join(filepath.ToSlash(relative), file))
		}
	}
	for _, c := range candidates {
		if filepath.IsLocal(filepath.FromSlash(c)) {
			if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(c))); err == nil && !info.IsDir() {
				return nil
			}
		}
	}
	return fmt.Errorf("%s is not in the repository, so GitLab will not show its coverage; paths have to be relative to the repository's root", file)
}
