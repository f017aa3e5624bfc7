package platform

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

// A Variable is a CI/CD variable, with the names of GitLab's API.
type Variable struct {
	Key              string `yaml:"key"`
	Value            string `yaml:"value"`
	File             bool   `yaml:"file,omitempty"`
	Raw              bool   `yaml:"raw,omitempty"`
	Masked           bool   `yaml:"masked,omitempty"`
	EnvironmentScope string `yaml:"environment_scope,omitempty"`
}

// Variables returns the CI/CD variables with which a project's pipelines use this platform.
func (p *Platform) Variables(ctx context.Context) ([]Variable, error) {
	registry := p.Config.ownRegistry()
	if p.Config.Registry != "" {
		registry = p.Config.Registry
	}
	image := registry + "/" + p.Config.Project
	if own := os.Getenv("CI_REGISTRY_IMAGE"); own != "" && p.Config.Registry != "" {
		image = own
	}
	variables := []Variable{{Key: "CI_REGISTRY", Value: registry}, {Key: "CI_REGISTRY_IMAGE", Value: image}}
	if p.Config.Registry != "" {
		for _, key := range []string{"CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"} {
			if value := os.Getenv(key); value != "" {
				variables = append(variables, Variable{Key: key, Value: value, Raw: true, Masked: key == "CI_REGISTRY_PASSWORD"})
			}
		}
	}
	for _, t := range p.Config.Tenants {
		variables = append(variables, Variable{Key: "KUBE_NAMESPACE", Value: t.Namespace, EnvironmentScope: t.Environment})
	}
	if p.Config.Kubeconfig != "" {
		b, err := os.ReadFile(firstPath(p.Config.Kubeconfig))
		if err != nil {
			return nil, fmt.Errorf("KUBECONFIG: %w", err)
		}
		return append(variables, Variable{Key: "KUBECONFIG", Value: string(b), File: true, Raw: true, Masked: true}), nil
	}
	own, err := p.ownVariables(ctx)
	return append(variables, own...), err
}

func (p *Platform) ownVariables(ctx context.Context) ([]Variable, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.cluster().APIReady(ctx); err != nil {
		return nil, fmt.Errorf("the cluster does not answer (%w); `platform up` brings it up", err)
	}
	client, err := p.cluster().Client("admin")
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ca, err := p.cluster().Authority()
	if err != nil {
		return nil, err
	}
	address := loopback(p.Config.Ports.Ingress)
	variables := []Variable{{Key: "INGRESS_ADDRESS", Value: address}, {Key: "INGRESS_CLASS", Value: "slipway"}}
	for _, t := range p.Config.Tenants {
		token, err := deployToken(ctx, client, t)
		if err != nil {
			return nil, err
		}
		config := kube.Config(p.cluster().Server(), ca, deployer, kube.Login{Token: token}, t.Namespace)
		scope := t.Environment
		variables = append(variables,
			Variable{Key: "KUBECONFIG", Value: string(config), File: true, Raw: true, Masked: true, EnvironmentScope: scope},
			Variable{Key: "INGRESS_HOST", Value: t.Host(), EnvironmentScope: scope},
			Variable{Key: "INGRESS_URL", Value: "http://" + t.Host() + ":" + strconv.Itoa(p.Config.Ports.Ingress), EnvironmentScope: scope})
	}
	return variables, nil
}

// Kubectl returns kubectl's path and the kubeconfig of the cluster's administrator, or the user's own.
func (p *Platform) Kubectl() (path, kubeconfig string, err error) {
	path, kubeconfig = p.path("bin", "kubectl"), p.cluster().AdminConfig()
	if p.Config.Kubeconfig != "" {
		path, kubeconfig = p.kubectlPath(), p.Config.Kubeconfig
	}
	for _, file := range []string{path, firstPath(kubeconfig)} {
		if _, err := os.Stat(file); err != nil {
			return "", "", fmt.Errorf("%w; `platform up` makes it", err)
		}
	}
	return path, kubeconfig, nil
}
