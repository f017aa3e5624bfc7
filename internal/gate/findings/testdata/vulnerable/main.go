// Command vulnerable is what the scanners' fixtures are made from: it is wrong on purpose, and never built into anything.
package main

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"golang.org/x/text/language"

	"example.com/vulnerable/internal/store"
)

func main() {
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		tags, _, _ := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
		data, err := os.ReadFile(r.URL.Query().Get("name"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		n, _ := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		fmt.Fprintf(w, "%x %v %d %s", md5.Sum(data), tags, int32(n), store.Digest(data))
	})
	http.ListenAndServe("127.0.0.1:8080", nil)
}
