package httpapi

import (
	"strings"
	"testing"
	"time"
	"uuid"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/service/order"
)

func FuzzCursor(f *testing.F) {
	f.Add(encodeCursor(order.Position{CreatedAt: time.Unix(5, 0), ID: "01a1fb9a-fe51-73c1-b5e5-35bd9d5446ca"}))
	f.Add("MTp7MDFhMWZiOWEtZmU1MS03M2MxLWI1ZTUtMzViZDlkNTQ0NmNhfQ")
	f.Add("")
	f.Add("====")
	f.Fuzz(func(t *testing.T, cursor string) {
		p, ok := decodeCursor(cursor)
		if !ok {
			return
		}
		if u, err := uuid.Parse(p.ID); err != nil || u.String() != p.ID {
			t.Errorf("%q is accepted and names %q, no canonical id", cursor, p.ID)
		}
		if again := encodeCursor(p); again != cursor {
			t.Errorf("%q and %q name the same page", cursor, again)
		}
	})
}

func FuzzETags(f *testing.F) {
	for _, seed := range []string{`"1"`, `W/"1", "2"`, `*`, ``, `"`, `"a" "b"`, `"a",`, ` "a" , W/"b" `} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		e, ok := parseETags(header)
		if !ok {
			return
		}
		if e.any != (strings.Trim(header, " \t") == "*") || e.any == (len(e.tags) > 0) {
			t.Fatalf("%q is %+v", header, e)
		}
		for _, tag := range e.tags {
			if !strings.Contains(header, tag) || !strings.HasSuffix(tag, `"`) {
				t.Errorf("%q is not a tag of %q", tag, header)
			}
		}
		if again, ok := parseETags(strings.Join(e.tags, ", ")); !e.any && (!ok || cmp.Diff(e.tags, again.tags) != "") {
			t.Errorf("%q does not survive: %+v, %+v", header, e, again)
		}
	})
}

func TestETags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		header             string
		ok, match, matches bool // match strongly, match weakly: the tag "1"
	}{
		{`"1"`, true, true, true},
		{`W/"1"`, true, false, true},
		{`"2", "1"`, true, true, true},
		{`"2",W/"1"`, true, false, true},
		{`*`, true, true, true},
		{`"11"`, true, false, false},
		{`"a,b"`, true, false, false},
		{``, false, false, false},
		{`1`, false, false, false},
		{`"1`, false, false, false},
		{`"1",`, false, false, false},
		{`"1" "2"`, false, false, false},
		{`*, "1"`, false, false, false},
	}
	for _, test := range tests {
		t.Run(test.header, func(t *testing.T) {
			e, ok := parseETags(test.header)
			if ok != test.ok || e.match(`"1"`) != test.match || e.matchWeak(`"1"`) != test.matches {
				t.Errorf("%s: ok %v, match %v, weakly %v", test.header, ok, e.match(`"1"`), e.matchWeak(`"1"`))
			}
		})
	}
}
