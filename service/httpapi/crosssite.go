package httpapi

import "net/http"

// refuseCrossSite refuses state-changing requests that a browser makes for a page of another site (CSRF), unless CORS allows
// its origin. Programs are not affected: they send neither Sec-Fetch-Site nor Origin.
func (s *Server) refuseCrossSite(_ *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.sites.Load().Check(r); err != nil {
			recordOf(w).fail(&problem{status: http.StatusForbidden, detail: "Cross-site request: a page of another site made the browser send it.", cause: err})
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
