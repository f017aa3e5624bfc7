package platform

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/build"
	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

const (
	traefikInside = "127.0.0.1:18000"
	traefikHealth = "127.0.0.1:18001"
	traefikReady  = "http://" + traefikHealth + "/ping"
)

// startTraefik runs Traefik beside the ingress, for what Ingress objects cannot say: shares of the requests. It is a process of the node.
func (p *Platform) startTraefik(ctx context.Context, s *steps) error {
	dir, err := p.compiled(ctx, s, "traefik binary", cluster.Traefik, build.Traefik())
	if err != nil {
		return err
	}
	return s.do(cluster.Traefik, func() (bool, error) {
		if err := p.applyManifests(ctx, dir); err != nil {
			return false, err
		}
		namespaces := make([]string, len(p.Config.Tenants))
		for i, t := range p.Config.Tenants {
			namespaces[i] = t.Namespace
		}
		if err := p.apply(ctx, traefikObjects(namespaces)); err != nil {
			return false, err
		}
		c := p.cluster()
		config := c.Kubeconfig(cluster.Traefik)
		spec := p.inside(c, daemon.Spec{Name: cluster.Traefik, Path: filepath.Join(dir, cluster.Traefik), NetNS: c.NetNS(),
			Args: []string{"--entrypoints.web.address=" + traefikInside, "--entrypoints.health.address=" + traefikHealth, "--ping.entrypoint=health",
				"--providers.kubernetescrd.namespaces=" + strings.Join(namespaces, ","),
				"--global.checknewversion=false", "--global.sendanonymoususage=false"},
			Env: []string{"KUBECONFIG=" + config}, Inputs: []string{config}, Grace: 2 * time.Second})
		return p.table.Up(ctx, spec, 60*time.Second, c.Probe(traefikReady))
	})
}

// traefikObjects returns what Traefik may read, in the namespaces of tenants alone: it does not start unless it may read their Secrets, for
// certificates. Those who may edit a namespace may edit its routes, too.
func traefikObjects(namespaces []string) []located {
	const user, group = "slipway:traefik", "traefik.io"
	read := []string{"get", "list", "watch"}
	objects := []located{
		clusterRole(user, nil, rule("", []string{"services", "endpoints", "secrets"}, read...), rule(group, []string{"*"}, read...)),
		clusterRole(user+":edit", kube.Object{rbac + "/aggregate-to-edit": "true"},
			rule(group, []string{"*"}, append(read, "create", "update", "patch", "delete", "deletecollection")...)),
	}
	for _, namespace := range namespaces {
		objects = append(objects, roleBinding(namespace, user, user, "ClusterRole", user))
	}
	return objects
}
