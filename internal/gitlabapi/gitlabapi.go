// Package gitlabapi sends requests to the API of a GitLab instance. The token is sent to that server only, and is in no error.
package gitlabapi

import (
	"net/http"
	"strconv"
	"time"
)

// What a request does when GitLab asks to come back later (https://docs.gitlab.com/security/rate_limits/).
const (
	maxTries = 5
	maxPause = time.Minute
)

// timeout limits each request, with the time that it takes to read the answer.
const timeout = 30 * time.Second

// Do sends a request with the header that has the token, such as Private-Token, and again when GitLab says that there are too many.
func Do(request *http.Request, token http.Header) (*http.Response, error) {
	for key, values := range token {
		request.Header[key] = values
	}
	client := http.Client{Timeout: timeout, CheckRedirect: onSameServer}
	for try := 1; ; try++ {
		response, err := client.Do(request) // #nosec G704 -- the instance that the user, or GitLab in a job, names
		if err != nil || response.StatusCode != http.StatusTooManyRequests || try == maxTries {
			return response, err
		}
		_ = response.Body.Close()
		pause := time.Duration(1<<try) * time.Second
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
			pause = time.Duration(seconds) * time.Second
		}
		select {
		case <-request.Context().Done():
			return nil, request.Context().Err()
		case <-time.After(min(pause, maxPause)):
		}
		if request.GetBody != nil { // the first try has read it
			if request.Body, err = request.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// onSameServer follows what GitLab answers for a project that has moved. To another server, the client would send the token along.
func onSameServer(request *http.Request, via []*http.Request) error {
	if len(via) >= 10 || request.URL.Scheme != via[0].URL.Scheme || request.URL.Host != via[0].URL.Host {
		return http.ErrUseLastResponse
	}
	return nil
}
