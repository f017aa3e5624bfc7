package httpapi

import "net/http"

// refuseCrossSite refuses changes that a page of another site makes a browser ask for, unless CORS allows that site: a
// browser sends the password that a person gave it, or reaches a service that needs none, on behalf of any page.
// Programs send neither Sec-Fetch-Site nor Origin.
func (s *Server) refuseCrossSite(_ *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.sites.Load().Check(r); err != nil {
			recordOf(w).fail(&problem{status: http.StatusForbidden, detail: "A browser asks for this on behalf of a page of another site.", cause: err})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// newSites returns the check, which trusts these origins besides the service's own.
func newSites(origins []string) (*http.CrossOriginProtection, error) {
	sites := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if err := sites.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return sites, nil
}
