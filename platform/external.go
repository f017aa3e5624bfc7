package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// useCluster checks the user's own cluster and creates the tenants' namespaces in it. It does not create databases, which are the
// user's as well, but reports missing ones.
func (p *Platform) useCluster(ctx context.Context, s *steps) error {
	if _, err := exec.LookPath("kubectl"); err != nil {
		if err := s.do("kubectl", func() (changed bool, err error) {
			_, changed, err = p.binaries(ctx)
			return changed, err
		}); err != nil {
			return err
		}
	}
	if err := s.do("your cluster", func() (bool, error) { return false, p.checkCluster(ctx) }); err != nil {
		return err
	}
	if p.Config.Registry == "" {
		fmt.Fprintf(p.Out, "  note: a cluster that is not on this machine cannot pull from %s: set CI_REGISTRY to a registry that it reaches\n",
			p.Config.ownRegistry())
	}
	return s.do("tenants", func() (bool, error) {
		for _, t := range p.Config.Tenants {
			manifest, err := json.Marshal(namespace(t))
			if err != nil {
				return false, err
			}
			if err := p.kubectl(ctx, manifest, "apply", "--server-side", "--field-manager=slipway-platform", "--filename=-"); err != nil {
				return false, fmt.Errorf("namespace %s: %w", t.Namespace, err)
			}
			if err := p.kubectl(ctx, nil, "--namespace="+t.Namespace, "get", "secret", databaseSecret); err != nil {
				fmt.Fprintf(p.Out, "  note: namespace %[1]s has no Secret %[2]s; the service keeps its data elsewhere until you make it:\n"+
					"    kubectl --namespace=%[1]s create secret generic %[2]s --from-literal=url=postgres://USER:PASSWORD@HOST/DATABASE\n",
					t.Namespace, databaseSecret)
			}
		}
		return false, nil
	})
}

func (p *Platform) checkCluster(ctx context.Context) error {
	if _, err := os.Stat(firstPath(p.Config.Kubeconfig)); err != nil {
		return fmt.Errorf("KUBECONFIG: %w; unset it to use a cluster on this machine", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := p.kubectl(ctx, nil, "--request-timeout=15s", "get", "--raw=/readyz"); err != nil {
		return fmt.Errorf("the cluster of KUBECONFIG=%s does not answer: %w; unset KUBECONFIG to use a cluster on this machine",
			p.Config.Kubeconfig, err)
	}
	return nil
}

// firstPath returns the first file of a list in the form of KUBECONFIG.
func firstPath(list string) string {
	first, _, _ := strings.Cut(list, string(os.PathListSeparator))
	return first
}

// kubectlPath returns the user's kubectl, or else the compiled one.
func (p *Platform) kubectlPath() string {
	if path, err := exec.LookPath("kubectl"); err == nil {
		return path
	}
	return p.path("bin", "kubectl")
}

// kubectl runs kubectl for the user's own cluster, whose kubeconfig may need plugins that only kubectl supports.
func (p *Platform) kubectl(ctx context.Context, stdin []byte, args ...string) error {
	cmd := exec.CommandContext(ctx, p.kubectlPath(), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.Config.Kubeconfig)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return errors.New(strings.TrimSpace(lastLine(stderr.String()) + " (" + err.Error() + ")"))
	}
	return nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
