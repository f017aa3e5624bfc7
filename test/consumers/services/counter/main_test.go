package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	server("", h).Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d", path, w.Code)
	}
	return w.Body.String()
}

func TestPublic(t *testing.T) {
	if body := get(t, public(), "/moon"); !strings.Contains(body, `"counter":"moon"`) {
		t.Error(body)
	}
}

func TestAdmin(t *testing.T) {
	if body := get(t, admin(), "/version"); !strings.Contains(body, commit) {
		t.Error(body)
	}
}
