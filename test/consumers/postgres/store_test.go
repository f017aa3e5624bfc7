package store

import (
	"os"
	"testing"
)

func TestAdd(t *testing.T) {
	s, err := Open(t.Context(), os.Getenv("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	first, err := s.Add(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if second, err := s.Add(t.Context(), "two"); err != nil || second <= first {
		t.Errorf("%d after %d, %v", second, first, err)
	}
}

func TestOpenNowhere(t *testing.T) {
	if _, err := Open(t.Context(), "postgres://127.0.0.1:1/none?connect_timeout=1"); err == nil {
		t.Error("no error")
	}
}
