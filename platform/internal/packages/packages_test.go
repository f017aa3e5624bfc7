package packages

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMissing(t *testing.T) {
	t.Parallel()
	there, gone := func() bool { return true }, func() bool { return false }
	needs := []Need{{"b", "package-b", gone}, {"a", "package-a", gone}, {"also-a", "package-a", gone}, {"c", "package-c", there}}
	got := Missing(t.Context(), needs, []string{"no-such-package-at-all", "sh"})
	if diff := cmp.Diff([]string{"no-such-package-at-all", "package-a", "package-b"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInstallSaysWhatAPersonHasToRun(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root installs; who may not is told")
	}
	err := Install(t.Context(), []string{"containerd", "runc"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "containerd") {
		t.Errorf("%v", err)
	}
}

func TestInstallNothingIsNothing(t *testing.T) {
	t.Parallel()
	if err := Install(t.Context(), nil, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestClusterNeedsNameTheirPackages(t *testing.T) {
	t.Parallel()
	var names []string
	for _, n := range slices.Concat(Database(), Cluster()) {
		names = append(names, n.Package)
	}
	slices.Sort(names)
	want := []string{"containerd", "containernetworking-plugins", "iproute2", "mount", "nftables", "postgresql", "runc"}
	if diff := cmp.Diff(want, slices.Compact(names)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLastBytesKeepsTheEnd(t *testing.T) {
	t.Parallel()
	var l lastBytes
	for range 5 {
		if _, err := l.Write(bytes.Repeat([]byte("x"), 999)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Write([]byte("end")); err != nil {
		t.Fatal(err)
	}
	if len(l) != 2000 || !bytes.HasSuffix(l, []byte("xend")) {
		t.Errorf("%d bytes, %q at the end", len(l), l[len(l)-5:])
	}
}
