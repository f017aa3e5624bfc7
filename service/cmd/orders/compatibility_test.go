package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
)

// TestExpandAndContract runs the version from before the newest migration on the database that this version has migrated: during a rolling
// update both serve, and a rollback starts the older one again. It compiles that version from the history.
func TestExpandAndContract(t *testing.T) {
	t.Parallel()
	older := filepath.Join(t.TempDir(), "older")
	beforeMigration(t, older)
	database := "ORDERS_DATABASE_URL=" + pgtest.Database(t)
	old := launch(t, older, database)
	before := old.drive(t, "before the migration")

	current := start(t, database)
	defer current.kill(t)
	old.drive(t, "the older version after the migration")
	current.drive(t, "this version")
	// Each works on what the other has written.
	current.finish(t, before)
	old.finish(t, current.drive(t, "written by this version"))

	old.kill(t)
	back := launch(t, older, database)
	defer back.kill(t)
	back.drive(t, "the older version started again, as a rollback does")
}

// beforeMigration compiles the program as it was before the newest migration.
func beforeMigration(t *testing.T, output string) {
	t.Helper()
	git := func(args ...string) (string, error) {
		c := exec.Command("git", args...) // #nosec G204 -- our own arguments
		c.Dir = root
		out, err := c.Output()
		return strings.TrimSpace(string(out)), err
	}
	added, err := git("log", "--diff-filter=A", "--max-count=1", "--format=%H", "--", "postgres/migrations")
	if err != nil || added == "" {
		t.Skipf("no history of this repository: %v", err)
	}
	if _, err := git("cat-file", "-e", added+"^"); err != nil {
		t.Skipf("the history ends before the newest migration (git fetch --unshallow)")
	}
	archive := filepath.Join(t.TempDir(), "older.tar")
	folder := t.TempDir()
	if out, err := git("archive", "--format=tar", "--output="+archive, added+"^", "."); err != nil {
		t.Fatalf("git archive: %v\n%s", err, out)
	}
	if out, err := exec.Command("tar", "-x", "-f", archive, "-C", folder).CombinedOutput(); err != nil { // #nosec G204 -- as above
		t.Fatalf("tar: %v\n%s", err, out)
	}
	if err := build(folder, output); err != nil {
		t.Fatal(err)
	}
}

// drive uses every operation of the API, so that each statement runs on the schema, and returns an order that is open.
func (i *instance) drive(t *testing.T, what string) (open string) {
	t.Helper()
	var ids []string
	for n := range 3 {
		id, err := i.place(http.DefaultClient, fmt.Sprintf("%s-%d", strings.ReplaceAll(what, " ", "-"), n))
		if err != nil {
			t.Fatalf("%s: place: %v", what, err)
		}
		ids = append(ids, id)
	}
	for _, query := range []string{"", "?status=pending", "?customer=ann", "?customer=ann&status=pending", "?created_from=2020-01-01T00:00:00Z&created_before=2100-01-01T00:00:00Z"} {
		var page api.OrderPage
		i.call(t, what, http.MethodGet, "/v1/orders"+query, "", "", &page)
		if len(page.Orders) < len(ids) {
			t.Errorf("%s: the list %s has %d orders", what, query, len(page.Orders))
		}
	}
	i.finish(t, ids[0])
	var o api.Order
	i.call(t, what, http.MethodPost, "/v1/orders/"+ids[1]+"/cancel", "", "", &o)
	if o.Status != api.Cancelled {
		t.Errorf("%s: a cancelled order is %s", what, o.Status)
	}
	return ids[2]
}

// finish changes and pays an order.
func (i *instance) finish(t *testing.T, id string) {
	t.Helper()
	var o api.Order
	etag := i.call(t, id, http.MethodGet, "/v1/orders/"+id, "", "", &o)
	i.call(t, id, http.MethodPatch, "/v1/orders/"+id, `{"note":"changed"}`, etag, &o)
	i.call(t, id, http.MethodPost, "/v1/orders/"+id+"/pay", "", "", &o)
	if o.Status != api.Paid || o.Note != "changed" {
		t.Errorf("an order that was changed and paid is %s, %q", o.Status, o.Note)
	}
}

// call does one request, wants success, and returns the order's version.
func (i *instance) call(t *testing.T, what, method, path, body, match string, answer any) (etag string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, i.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/merge-patch+json")
	}
	if match != "" {
		r.Header.Set("If-Match", match)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer response.Body.Close() //nolint:errcheck // it is read
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s: %s %s: %s", what, method, path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatalf("%s: %s %s: %v", what, method, path, err)
	}
	return response.Header.Get("ETag")
}
