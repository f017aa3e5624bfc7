package targets

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	var mirror kube.Mirror[pod]
	for _, text := range []string{
		`{"metadata": {"namespace": "shop", "name": "a", "labels": {"app.kubernetes.io/name": "orders", "slipway.dev/track": "canary"},
			"annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8081"}}, "status": {"phase": "Running", "podIP": "10.0.0.1"}}`,
		`{"metadata": {"namespace": "shop", "name": "does not ask"}, "status": {"phase": "Running", "podIP": "10.0.0.2"}}`,
		`{"metadata": {"namespace": "shop", "name": "over", "annotations": {"prometheus.io/scrape": "true"}}, "status": {"phase": "Succeeded", "podIP": "10.0.0.3"}}`,
		`{"metadata": {"namespace": "shop", "name": "no address yet", "annotations": {"prometheus.io/scrape": "true"}}, "status": {"phase": "Running"}}`,
	} {
		if err := mirror.Put([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	want := []group{{[]string{"10.0.0.1:8081"}, map[string]string{"job": "orders", "namespace": "shop", "pod": "a", "track": "canary"}}}
	if diff := cmp.Diff(want, groups(mirror.Objects())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
