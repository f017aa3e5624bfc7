// Package verdict decides whether findings stop a change, and writes a message that says what to do.
package verdict

import (
	"fmt"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings/risk"
	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
)

// A Policy defines which findings stop a change.
type Policy struct {
	// Findings below either are shown and do not stop anything.
	MinSeverity   findings.Severity
	MinConfidence findings.Confidence
	// Risks are accepted; see [risk.Parse].
	Risks []risk.Risk
	// Changed limits the gate to findings in changed lines, if it is not nil. It limits only what is found in source code:
	// a leaked secret or a vulnerable module concerns everybody, whichever line it is in.
	Changed *gitdiff.Set
	// MaxDatabaseAge is how old a vulnerability database may be; 0 is any age.
	MaxDatabaseAge time.Duration
	Now            time.Time
}

// An Outcome is the decision on a finding.
type Outcome string

// The outcomes. Only Blocking and Expired make a gate red.
const (
	Blocking   Outcome = "blocking"
	Expired    Outcome = "expired"
	Accepted   Outcome = "accepted"
	Suppressed Outcome = "suppressed"
	Old        Outcome = "not new"
	Minor      Outcome = "below the threshold"
)

// A Judgement is the decision on one finding.
type Judgement struct {
	Tool    findings.Tool
	Finding findings.Finding
	Outcome Outcome
	// Risk is set for Accepted and Expired.
	Risk *risk.Risk
}

// A Verdict is the decision over one or more reports.
type Verdict struct {
	Judgements []Judgement
	// Incomplete has what scanners could not examine; while there is any, the verdict is red.
	Incomplete []string
	// Stale has databases that are older than the policy allows.
	Stale []string
	// Unused are accepted risks that no finding needs any more.
	Unused []risk.Risk
}

// Decide judges the findings of all reports.
func Decide(reports []*findings.Report, p Policy) *Verdict {
	v := &Verdict{}
	used := map[string]bool{}
	for _, r := range reports {
		for _, problem := range r.Problems {
			text := r.Tool.ID + ": "
			if problem.File != "" {
				text += fmt.Sprintf("%s:%d: ", problem.File, problem.Line)
			}
			v.Incomplete = append(v.Incomplete, text+problem.Text)
		}
		if d := r.Database; d != nil && p.MaxDatabaseAge > 0 {
			switch {
			case d.Built.IsZero():
				v.Stale = append(v.Stale, fmt.Sprintf("%s does not say how old its database %s is", r.Tool.ID, d.URL))
			case p.Now.Sub(d.Built) > p.MaxDatabaseAge:
				v.Stale = append(v.Stale, fmt.Sprintf("%s used the database %s of %s, which is older than %d days", r.Tool.ID, d.URL,
					d.Built.Format(time.DateOnly), int(p.MaxDatabaseAge.Hours()/24)))
			}
		}
		for _, f := range r.Findings {
			j := p.judge(r, f)
			if j.Risk != nil {
				used[j.Risk.Position] = true
			}
			v.Judgements = append(v.Judgements, j)
		}
	}
	for _, k := range p.Risks {
		for _, r := range reports {
			if !used[k.Position] && k.Concerns(r) {
				v.Unused = append(v.Unused, k)
				break
			}
		}
	}
	return v
}

func (p *Policy) judge(r *findings.Report, f findings.Finding) Judgement {
	j := Judgement{Tool: r.Tool, Finding: f, Outcome: Blocking}
	if f.Suppressed != nil {
		j.Outcome = Suppressed
		return j
	}
	// The risk comes before the threshold, so that an acceptance counts as used whatever the threshold is.
	j.Risk = risk.Find(p.Risks, r.Tool, &f)
	switch {
	case f.Severity < p.MinSeverity || f.Confidence < p.MinConfidence:
		j.Outcome = Minor
	case p.Changed != nil && inSource(r.Kind) && !p.Changed.Touches(f.Location.File, max(f.Location.Line, 1), max(f.Location.EndLine, 1)):
		j.Outcome = Old
	case j.Risk == nil:
	case j.Risk.Expired(p.Now):
		j.Outcome = Expired
	default:
		j.Outcome = Accepted
	}
	return j
}

func inSource(k findings.Kind) bool { return k == findings.SAST || k == findings.Quality }

// Of returns the judgements with one of the outcomes.
func (v *Verdict) Of(outcomes ...Outcome) []Judgement {
	var list []Judgement
	for _, j := range v.Judgements {
		for _, o := range outcomes {
			if j.Outcome == o {
				list = append(list, j)
			}
		}
	}
	return list
}

// Red reports whether anything stops the change.
func (v *Verdict) Red() bool { return len(v.Of(Blocking, Expired)) > 0 }
