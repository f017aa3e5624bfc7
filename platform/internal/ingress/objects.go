// Package ingress is a reverse proxy that serves the cluster's Ingress objects on the host's loopback. It routes to ready
// endpoints only, by the present state of the API server, so that a rolling update loses no request.
package ingress

import (
	"strings"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

// The parts of Kubernetes' objects that the proxy reads.
type (
	ingress struct {
		Metadata kube.Meta `json:"metadata"`
		Spec     struct {
			IngressClassName *string  `json:"ingressClassName"`
			DefaultBackend   *backend `json:"defaultBackend"`
			Rules            []rule   `json:"rules"`
		} `json:"spec"`
	}

	rule struct {
		Host string `json:"host"`
		HTTP *struct {
			Paths []path `json:"paths"`
		} `json:"http"`
	}

	path struct {
		Path     string  `json:"path"`
		PathType string  `json:"pathType"`
		Backend  backend `json:"backend"`
	}

	backend struct {
		Service *struct {
			Name string `json:"name"`
			Port struct {
				Name   string `json:"name"`
				Number int    `json:"number"`
			} `json:"port"`
		} `json:"service"`
	}

	service struct {
		Metadata kube.Meta `json:"metadata"`
		Spec     struct {
			Ports []struct {
				Name string `json:"name"`
				Port int    `json:"port"`
			} `json:"ports"`
		} `json:"spec"`
	}

	endpointSlice struct {
		Metadata    kube.Meta `json:"metadata"`
		AddressType string    `json:"addressType"`
		Endpoints   []struct {
			Addresses  []string `json:"addresses"`
			Conditions struct {
				// Ready is true where it is missing (discovery.k8s.io/v1).
				Ready *bool `json:"ready"`
			} `json:"conditions"`
		} `json:"endpoints"`
		Ports []struct {
			Name string `json:"name"`
			Port int    `json:"port"`
		} `json:"ports"`
	}
)

// serviceLabel names the Service of an EndpointSlice.
const serviceLabel = "kubernetes.io/service-name"

// matches implements the path types of networking.k8s.io/v1: Exact, and Prefix by whole elements. ImplementationSpecific
// is a prefix here.
func (p path) matches(request string) bool {
	if p.PathType == "Exact" {
		return request == p.Path
	}
	prefix := strings.TrimSuffix(p.Path, "/")
	rest, ok := strings.CutPrefix(request, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// hostMatches compares a rule's host with a request's; "*.example.com" stands for exactly one label (networking.k8s.io/v1).
func hostMatches(rule, host string) bool {
	if suffix, ok := strings.CutPrefix(rule, "*"); ok {
		first, rest, found := strings.Cut(host, ".")
		return found && first != "" && "."+rest == suffix
	}
	return rule == "" || strings.EqualFold(rule, host)
}
