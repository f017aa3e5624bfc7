package sqlite

import (
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/service/order"
)

// Hold begins a write, which release ends.
func (s *Store) Hold(t *testing.T) (release func()) {
	t.Helper()
	tx, err := s.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

// Plan returns how SQLite executes the query of a list.
func (s *Store) Plan(t *testing.T, q order.Query) string {
	t.Helper()
	query, args := listQuery(q)
	rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...) // #nosec G202 -- the store's own query
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err reports errors
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
