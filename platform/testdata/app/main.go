// App is what the platform's tests deploy: it says which version it is, resolves names, fetches from others and knocks at the database.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	var draining atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s\n", os.Getenv("APP_VERSION"), body)
	})
	mux.HandleFunc("GET /resolve/{name}", func(w http.ResponseWriter, r *http.Request) {
		addresses, err := net.DefaultResolver.LookupHost(r.Context(), r.PathValue("name"))
		fmt.Fprintln(w, addresses, err)
	})
	mux.HandleFunc("GET /fetch/{host}", func(w http.ResponseWriter, r *http.Request) {
		client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + r.PathValue("host") + "/")
		if err != nil {
			fmt.Fprintln(w, err)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(w, resp.Body)
	})
	mux.HandleFunc("GET /database", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, knock(os.Getenv("DATABASE_URL"))) })
	server := &http.Server{Addr: ":8080", Handler: mux}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { log.Println(server.ListenAndServe()) }()
	<-ctx.Done()
	draining.Store(true)
	time.Sleep(time.Second) // until nobody routes here any more
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		log.Fatal(err)
	}
}

// knock asks PostgreSQL whether it speaks TLS; only a PostgreSQL answers with one letter.
func knock(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error()
	}
	conn, err := net.DialTimeout("tcp", u.Host, 2*time.Second)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		return err.Error()
	}
	answer := make([]byte, 1)
	_, err = io.ReadFull(conn, answer)
	return fmt.Sprintf("PostgreSQL answers %s %v", answer, err)
}
