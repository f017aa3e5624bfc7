// Command hello serves a public port and an admin port.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"time"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
)

func public() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewEncoder(w).Encode(map[string]string{"hello": r.PathValue("name")}); err != nil {
			log.Print(err)
		}
	})
	return mux
}

func admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(map[string]string{"version": version, "commit": commit}); err != nil {
			log.Print(err)
		}
	})
	return mux
}

func server(addr string, h http.Handler) *http.Server {
	return &http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 5 * time.Second}
}

func main() {
	go func() { log.Fatal(server(":8081", admin()).ListenAndServe()) }()
	log.Fatal(server(":8080", public()).ListenAndServe())
}
