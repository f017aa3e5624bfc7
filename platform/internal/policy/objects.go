// Package policy enforces NetworkPolicy objects (networking.k8s.io/v1) with nftables, inside of the cluster's network
// namespace. All of a pod's traffic is routed by the node, so one table sees it.
package policy

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

type (
	networkPolicy struct {
		Metadata kube.Meta `json:"metadata"`
		Spec     struct {
			PodSelector selector  `json:"podSelector"`
			PolicyTypes []string  `json:"policyTypes"`
			Ingress     []ingress `json:"ingress"`
			Egress      []egress  `json:"egress"`
		} `json:"spec"`
	}

	ingress struct {
		From  []peer `json:"from"`
		Ports []port `json:"ports"`
	}

	egress struct {
		To    []peer `json:"to"`
		Ports []port `json:"ports"`
	}

	peer struct {
		PodSelector       *selector `json:"podSelector"`
		NamespaceSelector *selector `json:"namespaceSelector"`
		IPBlock           *struct {
			CIDR   string   `json:"cidr"`
			Except []string `json:"except"`
		} `json:"ipBlock"`
	}

	port struct {
		Protocol string `json:"protocol"`
		// Port is a number, a name, or missing.
		Port    any `json:"port"`
		EndPort int `json:"endPort"`
	}

	selector struct {
		MatchLabels      map[string]string `json:"matchLabels"`
		MatchExpressions []struct {
			Key      string   `json:"key"`
			Operator string   `json:"operator"`
			Values   []string `json:"values"`
		} `json:"matchExpressions"`
	}

	pod struct {
		Metadata kube.Meta `json:"metadata"`
		Spec     struct {
			HostNetwork bool `json:"hostNetwork"`
			Containers  []struct {
				Ports []struct {
					Name          string `json:"name"`
					ContainerPort int    `json:"containerPort"`
					Protocol      string `json:"protocol"`
				} `json:"ports"`
			} `json:"containers"`
		} `json:"spec"`
		Status struct {
			Phase string `json:"phase"`
			PodIP string `json:"podIP"`
		} `json:"status"`
	}

	namespace struct {
		Metadata kube.Meta `json:"metadata"`
	}
)

// matches implements label selectors; the empty one matches everything.
func (s selector) matches(labels map[string]string) bool {
	for key, value := range s.MatchLabels {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		value, ok := labels[e.Key]
		in := ok && slices.Contains(e.Values, value)
		switch e.Operator {
		case "In":
			ok = in
		case "NotIn":
			ok = !in
		case "DoesNotExist":
			ok = !ok
		}
		if !ok {
			return false
		}
	}
	return true
}

// onNetwork reports whether the pod has a separate address.
func (p pod) onNetwork() bool {
	return p.Status.PodIP != "" && !p.Spec.HostNetwork && p.Status.Phase != "Succeeded" && p.Status.Phase != "Failed"
}

// named returns the number of a named port; 0 if the pod has no port of that name.
func (p pod) named(name, protocol string) int {
	for _, c := range p.Spec.Containers {
		for _, candidate := range c.Ports {
			if candidate.Name == name && orTCP(candidate.Protocol) == protocol {
				return candidate.ContainerPort
			}
		}
	}
	return 0
}

func orTCP(protocol string) string {
	if protocol == "" {
		return "TCP"
	}
	return protocol
}

// isolates reports whether the policy limits a direction: by default ingress, and egress if there are rules for it,
// unless policyTypes states otherwise.
func (n networkPolicy) isolates(direction string) bool {
	if len(n.Spec.PolicyTypes) > 0 {
		return slices.Contains(n.Spec.PolicyTypes, direction)
	}
	return direction == "Ingress" || len(n.Spec.Egress) > 0
}
