// A reverse proxy with the handler of the Go package: edge SOCKET UPSTREAM SERVER SECRETS REVOCATIONS POLICY [AUDIENCE]
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"subtoken"
)

func main() {
	a := os.Args
	options := subtoken.Options{Secrets: a[4], Revocations: a[5], Policy: a[6], Server: a[3]}
	if len(a) > 7 {
		options.Audience = a[7]
	}
	edge, err := subtoken.New(options)
	if err != nil {
		log.Fatal(err)
	}
	defer edge.Close()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "api"})
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", a[2])
	}}
	own := httputil.NewSingleHostReverseProxy(must(url.Parse(a[3])))
	handler := edge.Handler(proxy)
	listener := must(net.Listen("unix", a[1]))
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("X-Forwarded-For") // a caller's own
		if r.URL.Path == "/v2/createsubtoken" || r.URL.Path == "/v2/tokeninfo" {
			own.ServeHTTP(w, r)
		} else {
			handler.ServeHTTP(w, r)
		}
	})))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
