package platform

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/build"
	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

const (
	kustomizeHealth = "127.0.0.1:9440"
	kustomizeReady  = "http://" + kustomizeHealth + "/readyz"
)

// startGitOps runs Flux's controllers of sources and of kustomizations. The first is on the host, so that it reaches git servers there and
// elsewhere; the second is a process of the node, and gets what the first has fetched through the gateway, at the same address.
func (p *Platform) startGitOps(ctx context.Context, s *steps) error {
	dir, err := p.compiled(ctx, s, "flux binaries", cluster.SourceController, build.GitOps())
	if err != nil {
		return err
	}
	if err := s.do("flux kinds", func() (bool, error) {
		if err := p.applyManifests(ctx, dir); err != nil {
			return false, err
		}
		return false, p.apply(ctx, fluxObjects())
	}); err != nil {
		return err
	}
	return parallel([]func() error{
		func() error {
			return s.do(cluster.SourceController, func() (bool, error) { return p.startSourceController(ctx, dir) })
		},
		func() error {
			return s.do(cluster.KustomizeController, func() (bool, error) { return p.startKustomizeController(ctx, dir) })
		},
	})
}

func (p *Platform) startSourceController(ctx context.Context, dir string) (bool, error) {
	artifacts, temporary := p.path("gitops", "artifacts"), p.path("gitops", "tmp")
	for _, folder := range []string{artifacts, temporary} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return false, err
		}
	}
	address, config := loopback(p.Config.Ports.Artifacts), p.cluster().Kubeconfig(cluster.SourceController)
	return p.table.Up(ctx, daemon.Spec{Name: cluster.SourceController, Path: filepath.Join(dir, cluster.SourceController), Dir: p.Config.State,
		Args: []string{"--storage-path", artifacts, "--storage-addr", address, "--storage-adv-addr", address, "--metrics-addr=0", "--health-addr=0"},
		Env:  append(proxies(), "KUBECONFIG="+config, "HOME="+temporary, "TMPDIR="+temporary), Inputs: []string{config}, Grace: 2 * time.Second,
	}, 60*time.Second, answers("http://"+address+"/"))
}

func (p *Platform) startKustomizeController(ctx context.Context, dir string) (bool, error) {
	temporary := p.path("gitops", "kustomize")
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return false, err
	}
	c := p.cluster()
	config := c.Kubeconfig(cluster.KustomizeController)
	return p.table.Up(ctx, p.inside(c, daemon.Spec{Name: cluster.KustomizeController, Path: filepath.Join(dir, cluster.KustomizeController), NetNS: c.NetNS(),
		// What a repository may change in a namespace is what its account deployer may: the controller itself has no such rights.
		Args: []string{"--health-addr", kustomizeHealth, "--metrics-addr=0", "--no-remote-bases", "--no-cross-namespace-refs", "--default-service-account=" + deployer},
		Env:  []string{"KUBECONFIG=" + config, "HOME=" + temporary, "TMPDIR=" + temporary}, Inputs: []string{config}, Grace: 2 * time.Second,
	}), 60*time.Second, c.Probe(kustomizeReady))
}

// proxies returns the variables by which the caller reaches git servers outside of this machine.
func proxies() []string {
	var set []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if value := os.Getenv(name); value != "" {
			set = append(set, name+"="+value)
		}
	}
	return set
}

// fluxObjects returns the roles of Flux's controllers.
func fluxObjects() []located {
	every := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	var objects []located
	for user, rules := range map[string][]kube.Object{
		cluster.SourceController: {
			rule("", []string{"events"}, "create", "patch"),
			rule("", []string{"secrets", "serviceaccounts"}, "get", "list", "watch"),
			rule("source.toolkit.fluxcd.io", []string{"*"}, every...),
		},
		cluster.KustomizeController: {
			rule("", []string{"events"}, "create", "patch"),
			rule("", []string{"secrets", "configmaps", "serviceaccounts"}, "get", "list", "watch"),
			rule("", []string{"serviceaccounts"}, "impersonate"),
			rule("source.toolkit.fluxcd.io", []string{"*"}, "get", "list", "watch"),
			rule("kustomize.toolkit.fluxcd.io", []string{"*"}, every...),
		},
	} {
		name := "slipway:" + user
		objects = append(objects, clusterRole(name, nil, rules...), clusterRoleBinding(name, name, name))
	}
	return objects
}
