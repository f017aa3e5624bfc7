package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A world are the objects that policies select.
type world struct {
	policies   map[string]networkPolicy
	pods       map[string]pod
	namespaces map[string]namespace
}

// script returns the input of nft that replaces the whole table in one transaction.
//
// A packet of a new connection passes the chain of its sender's egress and then that of its receiver's ingress; a rule
// that allows it returns, and a packet at the end of a chain is refused. The node itself may reach every pod, as the kubelet's
// probes require.
func (w world) script() string {
	var b strings.Builder
	b.WriteString("table ip slipway_policy\ndelete table ip slipway_policy\ntable ip slipway_policy {\n")
	var in, out []string
	for _, key := range slices.Sorted(maps.Keys(w.pods)) {
		p := w.pods[key]
		if !p.onNetwork() {
			continue
		}
		name := strings.ReplaceAll(p.Status.PodIP, ".", "_")
		if rules, isolated := w.rules(p, "Ingress"); isolated {
			in = append(in, p.Status.PodIP+" : jump in_"+name)
			chain(&b, "in_"+name, key, rules)
		}
		if rules, isolated := w.rules(p, "Egress"); isolated {
			out = append(out, p.Status.PodIP+" : jump out_"+name)
			chain(&b, "out_"+name, key, rules)
		}
	}
	// After kube-proxy has exchanged a service's address for a pod's (priority dstnat).
	fmt.Fprintf(&b, "  chain forward {\n    type filter hook forward priority filter + 10\n    ct state established,related accept\n%s%s  }\n",
		dispatch("saddr", out), dispatch("daddr", in))
	fmt.Fprintf(&b, "  chain input {\n    type filter hook input priority filter + 10\n    ct state established,related accept\n%s  }\n}\n",
		dispatch("saddr", out))
	return b.String()
}

func chain(b *strings.Builder, name, pod string, rules []string) {
	fmt.Fprintf(b, "  chain %s { # %s\n", name, pod)
	for _, r := range rules {
		fmt.Fprintf(b, "    %s return\n", r)
	}
	b.WriteString("    reject with icmp admin-prohibited\n  }\n")
}

func dispatch(field string, entries []string) string {
	if len(entries) == 0 {
		return ""
	}
	return fmt.Sprintf("    ip %s vmap { %s }\n", field, strings.Join(entries, ", "))
}

// rules returns the matches that allow packets to (Ingress) or from (Egress) the pod; isolated is false if no policy
// selects the pod, so that everything is allowed.
func (w world) rules(p pod, direction string) (rules []string, isolated bool) {
	for _, key := range slices.Sorted(maps.Keys(w.policies)) {
		n := w.policies[key]
		if n.Metadata.Namespace != p.Metadata.Namespace || !n.Spec.PodSelector.matches(p.Metadata.Labels) || !n.isolates(direction) {
			continue
		}
		isolated = true
		if direction == "Ingress" {
			for _, r := range n.Spec.Ingress {
				for _, where := range w.addresses(r.From, p.Metadata.Namespace, "saddr") {
					rules = append(rules, withPorts(where, r.Ports, p)...)
				}
			}
			continue
		}
		for _, r := range n.Spec.Egress {
			if numbers := numbered(r.Ports); len(r.Ports) == 0 || len(numbers) > 0 {
				for _, where := range w.addresses(r.To, p.Metadata.Namespace, "daddr") {
					rules = append(rules, withPorts(where, numbers, p)...)
				}
			}
			rules = append(rules, w.namedEgress(r, p.Metadata.Namespace)...)
		}
	}
	return slices.Compact(rules), isolated
}

// addresses returns a match for each of the peers' addresses; without peers one empty match, which allows all.
func (w world) addresses(peers []peer, home, field string) []string {
	if len(peers) == 0 {
		return []string{""}
	}
	var matches, pods []string
	for _, p := range peers {
		if p.IPBlock != nil {
			match := "ip " + field + " " + p.IPBlock.CIDR
			if len(p.IPBlock.Except) > 0 {
				match += " ip " + field + " != { " + strings.Join(p.IPBlock.Except, ", ") + " }"
			}
			if !strings.Contains(p.IPBlock.CIDR, ":") { // the cluster uses IPv4 only
				matches = append(matches, match)
			}
			continue
		}
		for _, other := range w.selected(p, home) {
			pods = append(pods, other.Status.PodIP)
		}
	}
	slices.Sort(pods)
	if len(pods) > 0 {
		matches = append(matches, "ip "+field+" { "+strings.Join(slices.Compact(pods), ", ")+" }")
	}
	return matches
}

// selected returns the pods that a peer selects: in its namespaces, by default the policy's own.
func (w world) selected(p peer, home string) []pod {
	var found []pod
	for _, key := range slices.Sorted(maps.Keys(w.pods)) {
		other := w.pods[key]
		if !other.onNetwork() {
			continue
		}
		if p.NamespaceSelector == nil {
			if other.Metadata.Namespace != home {
				continue
			}
		} else if !p.NamespaceSelector.matches(w.namespaces["/"+other.Metadata.Namespace].Metadata.Labels) {
			continue
		}
		if p.PodSelector == nil || p.PodSelector.matches(other.Metadata.Labels) {
			found = append(found, other)
		}
	}
	return found
}

// withPorts adds the ports to a match, none meaning all; names are those of the target's containers.
func withPorts(where string, ports []port, target pod) []string {
	if len(ports) == 0 {
		return []string{where}
	}
	var rules []string
	for _, p := range ports {
		protocol := orTCP(p.Protocol)
		number, last := 0, p.EndPort
		switch v := p.Port.(type) {
		case float64:
			number = int(v)
		case string:
			if number = target.named(v, protocol); number == 0 {
				continue
			}
		}
		match := "meta l4proto " + strings.ToLower(protocol)
		switch {
		case number != 0 && last > number:
			match = fmt.Sprintf("%s dport %d-%d", strings.ToLower(protocol), number, last)
		case number != 0:
			match = fmt.Sprintf("%s dport %d", strings.ToLower(protocol), number)
		}
		rules = append(rules, strings.TrimSpace(where+" "+match))
	}
	return rules
}

// numbered returns the ports without a name.
func numbered(ports []port) []port {
	return slices.DeleteFunc(slices.Clone(ports), func(p port) bool { _, named := p.Port.(string); return named })
}

// namedEgress resolves names of ports of egress rules, which are those of each receiving pod.
func (w world) namedEgress(r egress, home string) []string {
	receivers := w.selected(peer{NamespaceSelector: &selector{}}, home)
	if len(r.To) > 0 {
		receivers = nil
		for _, p := range r.To {
			if p.IPBlock == nil {
				receivers = append(receivers, w.selected(p, home)...)
			}
		}
	}
	var rules []string
	for _, p := range r.Ports {
		if _, named := p.Port.(string); !named {
			continue
		}
		for _, receiver := range receivers {
			rules = append(rules, withPorts("ip daddr "+receiver.Status.PodIP, []port{p}, receiver)...)
		}
	}
	return rules
}
