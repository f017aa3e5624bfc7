package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr returns the address of the client: the peer's, or the one that trusted proxies report in X-Forwarded-For or
// Forwarded (RFC 7239). Each proxy appends the address of its peer, so the lists are read from the right up to the first
// address that is not a trusted proxy; anything left of it may be forged. If both headers are present and differ, one of
// them is forged, and the peer's address counts.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	if !contains(trusted, addr) {
		return addr
	}
	xff, forwarded := r.Header.Values("X-Forwarded-For"), r.Header.Values("Forwarded")
	switch {
	case len(xff) > 0 && len(forwarded) > 0:
		one, other := lastUntrusted(addr, strings.Join(xff, ","), trusted, parseAddr), lastUntrusted(addr, strings.Join(forwarded, ","), trusted, parseForwarded)
		if one == other {
			return one
		}
		return addr
	case len(xff) > 0:
		return lastUntrusted(addr, strings.Join(xff, ","), trusted, parseAddr)
	case len(forwarded) > 0:
		return lastUntrusted(addr, strings.Join(forwarded, ","), trusted, parseForwarded)
	}
	return addr
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// lastUntrusted reads the list from the right; an invalid entry ends it, since entries left of it cannot be trusted.
func lastUntrusted(addr netip.Addr, list string, trusted []netip.Prefix, parse func(string) (netip.Addr, bool)) netip.Addr {
	for list != "" && contains(trusted, addr) {
		entry := list
		if comma := strings.LastIndexByte(list, ','); comma >= 0 {
			list, entry = list[:comma], list[comma+1:]
		} else {
			list = ""
		}
		next, ok := parse(strings.TrimSpace(entry))
		if !ok {
			return addr
		}
		addr = next
	}
	return addr
}

// parseAddr parses an address with or without a port.
func parseAddr(text string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}

// parseForwarded parses an element, as for=192.0.2.1;proto=https or For="[2001:db8::1]:80".
func parseForwarded(element string) (netip.Addr, bool) {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "for") {
			return parseAddr(strings.Trim(value, `"`))
		}
	}
	return netip.Addr{}, false
}

// Prefix lengths that count as one client. A host with an IPv6 address usually has all of its /64.
const (
	clientBits4 = 32
	clientBits6 = 64
)

// clientNetwork returns the network that identifies a client without credentials for the rate limit.
func clientNetwork(addr netip.Addr) string {
	bits := clientBits6
	if addr.Is4() {
		bits = clientBits4
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return network.String()
}
