package consumers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// An agentKubeconfig has the fields of a KUBECONFIG that the agent's tests read and write.
type agentKubeconfig struct {
	APIVersion string         `yaml:"apiVersion"`
	Kind       string         `yaml:"kind"`
	Clusters   []agentCluster `yaml:"clusters"`
	Contexts   []agentContext `yaml:"contexts"`
	Users      []agentUser    `yaml:"users"`
}

type agentCluster struct {
	Name    string `yaml:"name"`
	Cluster struct {
		Server    string `yaml:"server"`
		Authority string `yaml:"certificate-authority-data,omitempty"`
	} `yaml:"cluster"`
}

type agentContext struct {
	Name    string `yaml:"name"`
	Context struct {
		Cluster string `yaml:"cluster"`
		User    string `yaml:"user"`
	} `yaml:"context"`
}

type agentUser struct {
	Name string `yaml:"name"`
	User struct {
		Token string `yaml:"token"`
	} `yaml:"user"`
}

// viaAgent replaces an environment's KUBECONFIG by one as GitLab gives to the jobs of a project with agents, and adds KUBE_CONTEXT: one cluster, which is
// the agents' server with a path, a user and a context for each of two agents, and no current context. The server of the agents stands in for GitLab's:
// it passes the requests of the second agent on to the cluster, as the account of the environment.
func viaAgent(t *testing.T, variables []pipeline.Variable, environment string) []pipeline.Variable {
	t.Helper()
	const prefix, token = "/k8s-proxy", "ci:8:job-token"
	variables = slices.Clone(variables)
	kubeconfig := kubeconfigOf(t, variables, environment)
	var own agentKubeconfig
	if err := yaml.Unmarshal([]byte(kubeconfig.Value), &own); err != nil {
		t.Fatal(err)
	}
	authority, err := base64.StdEncoding.DecodeString(own.Clusters[0].Cluster.Authority)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("the cluster's KUBECONFIG has no authority")
	}
	target, err := url.Parse(own.Clusters[0].Cluster.Server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Path = strings.TrimPrefix(r.Out.URL.Path, prefix)
			r.SetURL(target)
			r.Out.Header.Set("Authorization", "Bearer "+own.Users[0].User.Token)
		},
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, prefix+"/") || r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","message":"no such agent","code":401}`, http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	given := agentKubeconfig{APIVersion: "v1", Kind: "Config", Clusters: []agentCluster{{Name: "gitlab"}}}
	given.Clusters[0].Cluster.Server = server.URL + prefix
	given.Clusters[0].Cluster.Authority = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for _, agent := range []struct{ user, token, context string }{
		{"agent:7", "ci:7:job-token", "shop/agents:staging"},
		{"agent:8", token, "shop/agents:production"},
	} {
		c, u := agentContext{Name: agent.context}, agentUser{Name: agent.user}
		c.Context.Cluster, c.Context.User, u.User.Token = "gitlab", agent.user, agent.token
		given.Contexts, given.Users = append(given.Contexts, c), append(given.Users, u)
	}
	text, err := yaml.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig.Value = string(text)
	return append(variables, pipeline.Variable{Key: "KUBE_CONTEXT", Value: "shop/agents:production", EnvironmentScope: environment})
}
