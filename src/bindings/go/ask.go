package subtoken

// #include "shim.h"
import "C"

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unsafe"
)

// Whole keys, and names with passwords, are the server's to know.
type asker struct {
	address string
	timeout time.Duration
	client  *http.Client
}

func newAsker(o *Options) (*asker, error) {
	at, err := url.Parse(o.Server)
	if err != nil || (at.Scheme != "http" && at.Scheme != "https") || at.Host == "" || at.User != nil || at.RawQuery != "" {
		return nil, errors.New("subtoken: Server: must be http:// or https://, a host, and no query")
	}
	if at.Path == "" || at.Path == "/" {
		at.Path = "/v2/authorize"
	}
	a := &asker{address: at.String(), timeout: o.Timeout, client: o.Client}
	if a.timeout <= 0 {
		a.timeout = 3 * time.Second
	}
	if a.client == nil {
		// No proxy of the environment: the question has a credential.
		a.client = &http.Client{
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
				TLSHandshakeTimeout: a.timeout,
				MaxIdleConnsPerHost: 64,
				IdleConnTimeout:     60 * time.Second,
				ForceAttemptHTTP2:   true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return a, nil
}

// What the server said of one question. Values are those of the headers below, nil where absent.
type answer struct {
	nonce    string
	status   int
	repeated bool
	values   [C.ST_GO_ANSWER]*string
}

var answerHeaders = [C.ST_GO_ANSWER]string{
	"X-Subtoken-Nonce", "X-Subtoken-Sub", "X-Subtoken-Key", "X-Subtoken-Owner",
	"X-Subtoken-Permissions", "X-Subtoken-Expires", "Retry-After",
}

// A question that was asked, whatever came of it. Without an answer the status is 0.
func (v *Verifier) ask(r *http.Request, target string) *answer {
	var random [16]byte
	found := &answer{}
	if _, err := rand.Read(random[:]); err != nil {
		return found
	}
	found.nonce = hex.EncodeToString(random[:])
	ctx, cancel := context.WithTimeout(r.Context(), v.asker.timeout)
	defer cancel()
	question, err := http.NewRequestWithContext(ctx, http.MethodHead, v.asker.address, nil)
	if err != nil || !v.question(question.Header, r, target, found.nonce) {
		return found
	}
	response, err := v.asker.client.Do(question)
	if err != nil {
		v.options.ErrorLog.Printf("subtoken: server: no answer: %v", withoutURL(err))
		return found
	}
	response.Body.Close()
	found.status = response.StatusCode
	for i, name := range answerHeaders {
		values := response.Header[name]
		if len(values) > 1 {
			found.repeated = true
		}
		if len(values) > 0 {
			found.values[i] = &values[0]
		}
	}
	return found
}

func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// The headers of the question. False: there is none to ask.
func (v *Verifier) question(header http.Header, r *http.Request, target, nonce string) bool {
	a := newArguments()
	defer a.release()
	a.http(r, target)
	a.raw.nonce = a.add(nonce)
	call := v.begin()
	if call == nil {
		return false
	}
	defer v.end(call)
	n := int(C.st_go_question(v.settings, call, a.data(), &a.raw))
	for i := 0; i < n; i++ {
		header.Add(goText(call.headers[i].name), goText(call.headers[i].value))
	}
	C.subtoken_wipe(unsafe.Pointer(&call.memory[0]), C.ST_GO_MEMORY)
	// Where the client's own is not known there are none: what a caller wrote is not to be the last.
	if client := clientOf(r); client != "" {
		chain := r.Header["X-Forwarded-For"]
		header.Set("X-Forwarded-For", forwarded(strings.Join(append(chain[:len(chain):len(chain)], client), ", ")))
	}
	// For the server's log, which leaves it out unless it is well-formed.
	if trace := r.Header["Traceparent"]; len(trace) == 1 && len(trace[0]) <= 512 {
		header.Set("Traceparent", trace[0])
	}
	return n > 0
}

// The address of the client, with its port or, as some handlers write it, without; "" for none.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if address, _, _ := strings.Cut(host, "%"); net.ParseIP(address) == nil { // without its zone
		return ""
	}
	return host
}

// The server reads addresses from the end; it takes no header of any length.
func forwarded(chain string) string {
	const max = 1024
	if len(chain) <= max {
		return chain
	}
	chain = chain[len(chain)-max:]
	if comma := strings.IndexByte(chain, ','); comma >= 0 {
		chain = strings.TrimLeft(chain[comma+1:], " ")
	}
	return chain
}

func goText(text C.subtoken_text) string { return C.GoStringN(text.data, C.int(text.len)) }
