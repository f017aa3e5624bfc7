package kube

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serve is a client of an API server that answers as the handler does.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	c, err := New(server.URL, ca, tls.Certificate{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestClientTellsWhatTheServerSays(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"reason": "NotFound", "message": "pods \"x\" not found"}`)
			return
		}
		http.Error(w, "no such route", http.StatusBadGateway)
	})
	err := c.Get(t.Context(), "/missing", nil)
	if !NotFound(err) || err.Error() != `API server: 404 NotFound: pods "x" not found` {
		t.Errorf("%v", err)
	}
	if err := c.Delete(t.Context(), "/missing"); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
	if err := c.Get(t.Context(), "/other", nil); NotFound(err) || !strings.Contains(err.Error(), "no such route") {
		t.Errorf("%v", err)
	}
}

func TestApplyIsServerSide(t *testing.T) {
	t.Parallel()
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.String() + " " + r.Header.Get("Content-Type")
		fmt.Fprint(w, "{}")
	})
	if err := c.Apply(t.Context(), "/api/v1/namespaces/shop", Object{"kind": "Namespace"}); err != nil {
		t.Fatal(err)
	}
	want := "PATCH /api/v1/namespaces/shop?force=true&fieldManager=slipway-platform application/apply-patch+yaml"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestMirrorFollows takes a mirror through a list, changes, a version that is too old, and a second list.
func TestMirrorFollows(t *testing.T) {
	t.Parallel()
	type thing struct{ Metadata Meta }
	object := func(name string) string { return `{"metadata": {"namespace": "ns", "name": "` + name + `"}}` }
	var lists atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			items := []string{object("a"), object("b")}
			if lists.Add(1) > 1 {
				items = []string{object("d")}
			}
			fmt.Fprintf(w, `{"metadata": {"resourceVersion": "%d"}, "items": [%s]}`, lists.Load(), strings.Join(items, ","))
			return
		}
		if r.URL.Query().Get("resourceVersion") != "1" {
			<-r.Context().Done()
			return
		}
		for _, event := range []string{
			`{"type": "ADDED", "object": ` + object("c") + `}`,
			`{"type": "DELETED", "object": ` + object("a") + `}`,
			`{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}`,
			`{"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}`,
		} {
			fmt.Fprintln(w, event)
		}
	})
	m := Mirror[thing]{Path: "/things"}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var seen []string
	m.Follow(ctx, c, func() {
		var keys []string
		for key := range m.Objects() {
			keys = append(keys, strings.TrimPrefix(key, "ns/"))
		}
		slices.Sort(keys)
		seen = append(seen, strings.Join(keys, ""))
		if len(seen) == 4 {
			cancel()
		}
	})
	if diff := cmp.Diff([]string{"ab", "abc", "bc", "d"}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !m.Listed() {
		t.Error("not listed")
	}
}

func TestConfigIsComplete(t *testing.T) {
	t.Parallel()
	var got struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
			}
		}
		Users    []struct{ User struct{ Token string } }
		Contexts []struct{ Context struct{ Namespace string } }
	}
	if err := json.Unmarshal(Config("https://x", []byte("ca"), "u", Login{Token: "t"}, "ns"), &got); err != nil {
		t.Fatal(err)
	}
	if got.Clusters[0].Cluster.Server != "https://x" || string(got.Clusters[0].Cluster.CA) != "ca" || got.Users[0].User.Token != "t" ||
		got.Contexts[0].Context.Namespace != "ns" {
		t.Errorf("%+v", got)
	}
}
