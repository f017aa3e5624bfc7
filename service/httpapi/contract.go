package httpapi

import (
	"mime"
	"net/http"
	"net/url"

	"gitlab.com/slipway-ci/slipway/service/api"
)

// checkContract refuses requests that violate the contract.
func (s *Server) checkContract(rt *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := check(rt.operation, w, r); err != nil {
			recordOf(w).fail(err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func check(operation *api.Operation, w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &problem{status: http.StatusBadRequest, detail: "The query has the wrong form."}
	}
	if err := operation.CheckParameters(query, r.Header); err != nil {
		return err
	}
	if operation.Body == "" {
		return nil
	}
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != operation.Body {
		w.Header().Set("Accept", operation.Body)
		return &problem{status: http.StatusUnsupportedMediaType, detail: "The body must be of the type " + operation.Body + "."}
	}
	return operation.CheckBody(recordOf(w).body)
}
