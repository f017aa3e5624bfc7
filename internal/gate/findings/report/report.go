// Package report writes findings in the formats that GitLab and SonarQube read: GitLab's security reports, SARIF,
// Code Quality and Sonar's generic issues.
//
// Suppressed findings are left out, except in SARIF, which can mark them as suppressed.
package report

import (
	"io"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// A Writer writes one format.
type Writer func(w io.Writer, r *findings.Report) error
