// Package store stores notes in PostgreSQL.
package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Store stores notes.
type Store struct{ conn *pgx.Conn }

// Open connects to the database at a URL and creates its table.
func Open(ctx context.Context, url string) (*Store, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "create table if not exists note (id bigint generated always as identity, text text not null)")
	return &Store{conn}, err
}

// Add stores a note and returns its id.
func (s *Store) Add(ctx context.Context, text string) (id int64, err error) {
	err = s.conn.QueryRow(ctx, "insert into note (text) values ($1) returning id", text).Scan(&id)
	return id, err
}

// Close closes the connection.
func (s *Store) Close(ctx context.Context) error { return s.conn.Close(ctx) }
