package fieldjson

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	Name string
	List []string
}

// MarshalJSON writes a form that cannot be read again.
func (i inner) MarshalJSON() ([]byte, error) { return []byte(`"` + i.Name + `"`), nil }

type outer struct {
	Text     string
	Number   int64
	Pointer  *inner
	Nothing  *inner
	Inners   []inner
	Any      any
	Err      error
	NoErr    error
	Flags    map[string]bool
	When     time.Time
	For      time.Duration
	Truth    *bool
	Children []*outer
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	no := false
	want := outer{
		Text: "a <b>", Number: 1<<62 + 1, Pointer: &inner{Name: "p", List: []string{}},
		Inners: []inner{{Name: "nil list"}, {Name: "empty list", List: []string{}}},
		Any:    map[string]any{"list": []any{1, 2.5, "x", true, nil}}, Err: errors.New("broken"),
		Flags: map[string]bool{"a": false}, When: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), For: 1<<60 + 1, Truth: &no,
		Children: []*outer{{Text: "child"}},
	}
	data, err := Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	var got outer
	if err := Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	sameText := cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
	if diff := cmp.Diff(want, got, sameText); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, data)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `[]`, `{"Text": 1}`, `{"Inners": {}}`, `{"Flags": []}`, `{"Err": 1}`, `{"Pointer": "x"}`} {
		if err := Unmarshal([]byte(text), new(outer)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
	if _, err := Marshal(func() {}); err == nil {
		t.Error("a function was written")
	}
}
