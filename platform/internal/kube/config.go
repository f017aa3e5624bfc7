package kube

import "encoding/json"

// A Login are the credentials of a kubeconfig's user: a client certificate (PEM) or a token.
type Login struct {
	Cert, Key []byte
	Token     string
}

// Config returns a kubeconfig that needs no other file. JSON is YAML, so every tool reads it; namespace may be empty.
func Config(server string, ca []byte, user string, login Login, namespace string) []byte {
	credentials := Object{}
	if login.Token != "" {
		credentials["token"] = login.Token
	} else {
		credentials["client-certificate-data"], credentials["client-key-data"] = login.Cert, login.Key // []byte is base64 in JSON
	}
	context := Object{"cluster": "slipway", "user": user}
	if namespace != "" {
		context["namespace"] = namespace
	}
	b, err := json.MarshalIndent(Object{
		"apiVersion":      "v1",
		"kind":            "Config",
		"clusters":        []Object{{"name": "slipway", "cluster": Object{"server": server, "certificate-authority-data": ca}}},
		"users":           []Object{{"name": user, "user": credentials}},
		"contexts":        []Object{{"name": "slipway", "context": context}},
		"current-context": "slipway",
	}, "", "  ")
	if err != nil {
		panic(err) // strings and bytes: cannot fail
	}
	return append(b, '\n')
}
