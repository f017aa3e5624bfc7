package sqlite

import "testing"

// Hold begins a write and ends it when it is told to.
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
