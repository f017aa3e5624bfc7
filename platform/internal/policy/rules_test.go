package policy

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/platform/internal/netns"
)

// town has two namespaces with three pods and one policy.
func town(t *testing.T, policySpec string) world {
	t.Helper()
	w := world{policies: map[string]networkPolicy{}, pods: map[string]pod{}, namespaces: map[string]namespace{}}
	put := func(into any, text string) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	for name, text := range map[string]string{
		"shop": `{"metadata": {"name": "shop", "labels": {"team": "shop"}}}`,
		"ops":  `{"metadata": {"name": "ops", "labels": {"team": "ops"}}}`,
	} {
		var n namespace
		put(&n, text)
		w.namespaces["/"+name] = n
	}
	for key, text := range map[string]string{
		"shop/web": `{"metadata": {"namespace": "shop", "name": "web", "labels": {"app": "web"}}, "status": {"podIP": "10.0.0.1"},
			"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 5353, "protocol": "UDP"}]}]}}`,
		"shop/api":  `{"metadata": {"namespace": "shop", "name": "api", "labels": {"app": "api", "tier": "back"}}, "status": {"podIP": "10.0.0.2"}}`,
		"ops/watch": `{"metadata": {"namespace": "ops", "name": "watch", "labels": {"app": "web"}}, "status": {"podIP": "10.0.0.3"}}`,
		"shop/done": `{"metadata": {"namespace": "shop", "name": "done", "labels": {"app": "api"}}, "status": {"podIP": "10.0.0.4", "phase": "Succeeded"}}`,
		"ops/node":  `{"metadata": {"namespace": "ops", "name": "node"}, "spec": {"hostNetwork": true}, "status": {"podIP": "10.99.0.1"}}`,
	} {
		var p pod
		put(&p, text)
		w.pods[key] = p
	}
	var n networkPolicy
	put(&n, `{"metadata": {"namespace": "shop", "name": "p"}, "spec": `+policySpec+`}`)
	w.policies["shop/p"] = n
	return w
}

func TestRules(t *testing.T) {
	t.Parallel()
	const everything = "everything"
	for _, test := range []struct {
		name, spec, pod, direction string
		want                       []string // nil: isolated, nothing allowed; everything: not isolated
	}{
		{"an empty policy shuts the way in", `{"podSelector": {}}`, "shop/web", "Ingress", nil},
		{"and leaves the way out", `{"podSelector": {}}`, "shop/web", "Egress", []string{everything}},
		{"egress rules shut the way out", `{"podSelector": {}, "egress": [{"ports": [{"port": 443}]}]}`, "shop/web", "Egress", []string{"tcp dport 443"}},
		{"policyTypes decides", `{"podSelector": {}, "policyTypes": ["Egress"]}`, "shop/web", "Ingress", []string{everything}},
		{"another namespace is not concerned", `{"podSelector": {}}`, "ops/watch", "Ingress", []string{everything}},
		{"a pod that is not selected", `{"podSelector": {"matchLabels": {"app": "api"}}}`, "shop/web", "Ingress", []string{everything}},
		{"an empty rule allows all", `{"podSelector": {}, "ingress": [{}]}`, "shop/web", "Ingress", []string{""}},
		{"empty lists allow all", `{"podSelector": {}, "ingress": [{"from": [], "ports": []}]}`, "shop/web", "Ingress", []string{""}},
		{"pods of the same namespace", `{"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}`, "shop/web", "Ingress",
			[]string{"ip saddr { 10.0.0.1, 10.0.0.2 }"}},
		{"all namespaces", `{"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}`, "shop/web", "Ingress",
			[]string{"ip saddr { 10.0.0.1, 10.0.0.2, 10.0.0.3 }"}},
		{"some pods of another namespace", `{"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "ops"}}, "podSelector": {"matchLabels": {"app": "web"}}}]}]}`,
			"shop/web", "Ingress", []string{"ip saddr { 10.0.0.3 }"}},
		{"nobody fits", `{"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "none"}}}]}]}`, "shop/web", "Ingress", nil},
		{"a block with a hole", `{"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 80}]}]}`,
			"shop/web", "Egress", []string{"ip daddr 10.0.0.0/8 ip daddr != { 10.1.0.0/16 } tcp dport 80"}},
		{"a block of IPv6 is no block of ours", `{"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "fd00::/8"}}]}]}`, "shop/web", "Egress", nil},
		{"a range of ports", `{"podSelector": {}, "ingress": [{"ports": [{"port": 8000, "endPort": 8100, "protocol": "UDP"}]}]}`, "shop/web", "Ingress",
			[]string{"udp dport 8000-8100"}},
		{"all ports of a protocol", `{"podSelector": {}, "ingress": [{"ports": [{"protocol": "SCTP"}]}]}`, "shop/web", "Ingress", []string{"meta l4proto sctp"}},
		{"a name on the way in is the pod's own", `{"podSelector": {}, "ingress": [{"ports": [{"port": "http"}, {"port": "dns", "protocol": "UDP"}]}]}`,
			"shop/web", "Ingress", []string{"tcp dport 8080", "udp dport 5353"}},
		{"a name that the pod does not have", `{"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}`, "shop/api", "Ingress", nil},
		{"a name on the way out is the receiver's", `{"podSelector": {}, "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": "http"}]}]}`,
			"shop/api", "Egress", []string{"ip daddr 10.0.0.1 tcp dport 8080"}},
		{"names and numbers on the way out", `{"podSelector": {}, "egress": [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": "http"}]}]}`,
			"shop/api", "Egress", []string{"udp dport 53", "ip daddr 10.0.0.1 tcp dport 8080"}},
		{"expressions", `{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["api"]}, {"key": "tier", "operator": "Exists"},
			{"key": "old", "operator": "DoesNotExist"}, {"key": "app", "operator": "NotIn", "values": ["web"]}]}}`, "shop/api", "Ingress", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := town(t, test.spec)
			got, isolated := w.rules(w.pods[test.pod], test.direction)
			if !isolated {
				got = append(got, everything)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestScriptLeavesOutWhoHasNoAddressOfItsOwn(t *testing.T) {
	t.Parallel()
	script := town(t, `{"podSelector": {}}`).script()
	for _, address := range []string{"10.0.0.4", "10.99.0.1"} {
		if strings.Contains(script, address) {
			t.Errorf("%s is in\n%s", address, script)
		}
	}
	if !strings.Contains(script, "ip daddr vmap { 10.0.0.2 : jump in_10_0_0_2, 10.0.0.1 : jump in_10_0_0_1 }") {
		t.Errorf("no dispatch in\n%s", script)
	}
}

// TestNFTTakesTheScript has the kernel judge, in a network namespace of the test's own.
func TestNFTTakesTheScript(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil || os.Getuid() != 0 {
		t.Skip("needs nft and root")
	}
	path := t.TempDir() + "/netns"
	if err := netns.Create(path); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(path); err != nil {
			t.Error(err)
		}
	})
	for _, spec := range []string{
		`{"podSelector": {}}`,
		`{"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
			"ports": [{"port": "http"}, {"port": 1, "endPort": 5, "protocol": "SCTP"}, {"protocol": "UDP"}]}], "egress": [{}]}`,
	} {
		err := netns.Do(path, func() error { return load(t.Context(), town(t, spec).script()) })
		if err != nil {
			t.Error(err)
		}
	}
}
