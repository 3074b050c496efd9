package subtoken

// #include "shim.h"
import "C"

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// An Identity is whom a request stands for.
type Identity struct {
	Sub         string
	Token       string // the ID of the subtoken; "" for a key
	Key         string // the key's public id; "" for a subtoken
	Owner       string // the key's owner; "" for a subtoken
	Permissions []string
	Expires     time.Time // zero: never
}

// Has tells whether the identity has a permission, byte for byte.
func (i *Identity) Has(permission string) bool { return contains(i.Permissions, permission) }

type identityKey struct{}

// IdentityOf is whom the request of this context stands for. False: nobody, because the route is
// public, or no verifier has seen the request.
func IdentityOf(ctx context.Context) (*Identity, bool) {
	identity, ok := ctx.Value(identityKey{}).(*Identity)
	return identity, ok
}

// A Refusal is the answer to a request that may not pass.
type Refusal struct {
	Status int
	Result Result
	Name   string // for a log: the name of the result, or auth_missing, key_unknown and the like
	Header http.Header
	Body   []byte
}

// Write answers with it.
func (f *Refusal) Write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range f.Header {
		header[name] = values
	}
	header.Set("Content-Length", strconv.Itoa(len(f.Body)))
	w.WriteHeader(f.Status)
	w.Write(f.Body) // of a HEAD net/http sends none
}

// Handler decides about each request, and lets next see those that may pass: without access_token=
// in the query, without any X-Subtoken-* of the caller's, with the five that tell whom it stands
// for, and with an Identity in its context. What is decided about is the target of the request
// line, so put it outside of handlers that change the URL, and no http.ServeMux around it: that
// answers some targets by itself.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passed, refusal := v.Check(r)
		if refusal != nil {
			refusal.Write(w)
			return
		}
		next.ServeHTTP(w, passed)
	})
}

// Check decides about a request: the request to pass on, or why it is refused. It may read the body
// of r, where the policy says that the body decides, and then the request to pass on has it all the
// same. The metadata that a 401 names is a refusal, too, with 200.
func (v *Verifier) Check(r *http.Request) (*http.Request, *Refusal) {
	target := targetOf(r)
	if document := v.metadata(r, target); document != nil {
		return nil, document
	}
	var said *answer
	var body []byte
	d := v.decide(r, target, nil, nil)
	if d.step == C.SUBTOKEN_EDGE_ASK {
		said = v.ask(r, target)
		d = v.decide(r, target, said, nil)
	}
	if d.step == C.SUBTOKEN_EDGE_BODY {
		var err error
		if body, err = readBody(r); err == errRead {
			v.options.ErrorLog.Printf("subtoken: 503: %v", err)
			return nil, undecided("error")
		} else if err != nil {
			return nil, unreadable()
		}
		d = v.decide(r, target, said, body) // anew: the body may have taken its time
	}
	if d.step != C.SUBTOKEN_EDGE_ALLOW {
		return nil, d.refusal
	}
	return v.pass(r, target, d, body), nil
}

func (v *Verifier) metadata(r *http.Request, target string) *Refusal {
	if v.options.AuthorizationServer == "" || (r.Method != http.MethodGet && r.Method != http.MethodHead) ||
		!strings.HasPrefix(target, "/.well-known/") {
		return nil
	}
	call := v.begin()
	if call == nil {
		return nil
	}
	defer v.end(call)
	text := []byte(target)
	n := C.st_go_metadata(v.settings, call, (*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text)))
	if n == 0 {
		return nil
	}
	return &Refusal{Status: http.StatusOK, Result: OK, Name: "metadata",
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Cache-Control": {"no-store"},
			"Access-Control-Allow-Origin": {"*"}},
		Body: C.GoBytes(unsafe.Pointer(&call.memory[0]), C.int(n))}
}

// As on the request line. One with scheme and host names the host twice, and is refused.
func targetOf(r *http.Request) string {
	if r.RequestURI == "" && r.URL != nil {
		return r.URL.RequestURI()
	}
	return r.RequestURI
}

var errRead = errors.New("the body was read before: put subtoken outside of what reads it")

// The body of a request that has one. What is not there, or not whole, somebody else has read, and what he read nobody
// may decide about: not by what is left, and not by the headers either. A body of unknown length that is empty cannot
// be told from one that was read.
func readBody(r *http.Request) ([]byte, error) {
	reader := io.Reader(http.NoBody)
	if r.Body != nil {
		reader = r.Body
	}
	body, err := io.ReadAll(io.LimitReader(reader, C.SUBTOKEN_RPC_BODY_MAX+1))
	read := len(body) == 0 || (int64(len(body)) < r.ContentLength && len(body) <= C.SUBTOKEN_RPC_BODY_MAX)
	if r.ContentLength != 0 && read && (err == nil || err == http.ErrBodyReadAfterClose) {
		return nil, errRead
	}
	if body == nil {
		body = []byte{}
	}
	return body, err
}

func unreadable() *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Name: "bad_request",
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Cache-Control": {"no-store"}},
		Body:   []byte(`{"text":"body: cannot be read"}`)}
}

// ---- one decision ----

type decision struct {
	step    C.int
	refusal *Refusal
	headers [C.SUBTOKEN_EDGE_IDENTITY_HEADERS]string // in the library's order
	token   string                                   // its ID
}

// said: what the server answered, or nil; body: what was read, or nil.
func (v *Verifier) decide(r *http.Request, target string, said *answer, body []byte) (d decision) {
	a := newArguments()
	defer a.release()
	a.http(r, target)
	call := v.begin()
	if call == nil {
		d.refusal = undecided("")
		return d
	}
	defer v.end(call)
	if said == nil {
		d.step = C.st_go_decide(v.settings, call, a.data(), &a.raw)
	} else {
		a.answer(said)
		d.step = C.st_go_decide_answer(v.settings, call, a.data(), &a.raw)
	}
	if d.step == C.SUBTOKEN_EDGE_BODY && body != nil {
		// The claims and the headers of the step before are those of the call.
		n := C.size_t(len(body))
		if len(body) == 0 {
			body = []byte{0}
		}
		d.step = C.st_go_decide_body(v.settings, call, a.data(), &a.raw,
			(*C.char)(unsafe.Pointer(&body[0])), n)
	}
	if d.step == C.SUBTOKEN_EDGE_ALLOW {
		for i := range d.headers {
			d.headers[i] = goText(call.headers[i].value)
		}
		d.token = goText(C.subtoken_claims_text(&call.claims, call.claims.tid))
	} else {
		d.refusal = refusalOf(call)
	}
	return d
}

// When the verifier is closed, or for a reason with a name.
func undecided(name string) *Refusal {
	call := C.st_go_call_new(0)
	if call == nil {
		return &Refusal{Status: http.StatusServiceUnavailable, Result: RevocationUnknown, Name: name, Header: http.Header{}}
	}
	defer C.st_go_call_free(call)
	C.st_go_refuse(call, C.SUBTOKEN_REVOCATION_UNKNOWN)
	refusal := refusalOf(call)
	if name != "" {
		refusal.Name = name
	}
	return refusal
}

func refusalOf(call *C.st_go_call) *Refusal {
	header := make(http.Header, int(call.header_count))
	for i := 0; i < int(call.header_count); i++ {
		header.Set(goText(call.headers[i].name), goText(call.headers[i].value))
	}
	return &Refusal{
		Status: int(call.reply.status),
		Result: Result(call.reply.result),
		Name:   C.GoString(call.reply.name),
		Header: header,
		Body:   C.GoBytes(unsafe.Pointer(&call.reply.body[0]), C.int(call.reply.body_len)),
	}
}

// ---- the request that passes ----

var identityNames = [C.SUBTOKEN_EDGE_IDENTITY_HEADERS]string{
	"X-Subtoken-Sub", "X-Subtoken-Key", "X-Subtoken-Owner", "X-Subtoken-Permissions", "X-Subtoken-Expires",
}

func (v *Verifier) pass(r *http.Request, target string, d decision, body []byte) *http.Request {
	ctx := r.Context()
	if identity := identityOf(&d); identity != nil {
		ctx = context.WithValue(ctx, identityKey{}, identity)
	}
	passed := r.WithContext(ctx)
	passed.Header = passedHeader(r.Header)
	for i, value := range d.headers {
		if value != "" {
			passed.Header[identityNames[i]] = []string{value}
		}
	}
	if v.settingsRead(Query) {
		stripQuery(passed, target)
	}
	if body != nil {
		passed.Body = io.NopCloser(bytes.NewReader(body))
	}
	if passed.Trailer != nil {
		dropIdentity(passed.Trailer)
		passed.Body = &trailedBody{passed.Body, passed.Trailer}
	}
	return passed
}

func dropIdentity(header http.Header) {
	for name := range header {
		if IsIdentityHeader(name) {
			delete(header, name)
		}
	}
}

// A body behind which trailers come: net/http adds them to the map when it reads the end.
type trailedBody struct {
	io.ReadCloser
	trailer http.Header
}

func (b *trailedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		dropIdentity(b.trailer)
	}
	return n, err
}

func (v *Verifier) settingsRead(form int) bool {
	return v.options.Forms == 0 || v.options.Forms&form != 0
}

func identityOf(d *decision) *Identity {
	values := &d.headers
	if values[0] == "" && values[3] == "" {
		return nil
	}
	identity := &Identity{Sub: values[0], Token: d.token, Key: values[1], Owner: values[2], Permissions: []string{}}
	if owner, err := url.PathUnescape(identity.Owner); err == nil {
		identity.Owner = owner
	}
	if values[3] != "" {
		identity.Permissions = strings.Split(values[3], ",")
	}
	if expires, err := strconv.ParseInt(values[4], 10, 64); err == nil {
		identity.Expires = time.Unix(expires, 0)
	}
	return identity
}

// A copy without what would tell the API something that the caller made up: an identity, a
// Connection that takes ours off on the way through a proxy, or an Upgrade behind which a proxy
// would read whole requests that nobody has decided about.
func passedHeader(header http.Header) http.Header {
	passed := make(http.Header, len(header)+5)
	for name, values := range header {
		if !IsIdentityHeader(name) {
			passed[name] = values
		}
	}
	if values := passed["Connection"]; len(values) > 0 && strings.Contains(strings.ToLower(strings.Join(values, ",")), "subtoken") {
		var kept []string
		for _, each := range strings.Split(strings.Join(values, ","), ",") {
			if each = strings.TrimSpace(each); each != "" && !IsIdentityHeader(each) {
				kept = append(kept, each)
			}
		}
		delete(passed, "Connection")
		if kept != nil {
			passed["Connection"] = []string{strings.Join(kept, ", ")}
		}
	}
	if values := passed["Upgrade"]; len(values) > 0 && !(len(values) == 1 && strings.EqualFold(values[0], "websocket")) {
		delete(passed, "Upgrade")
		delete(passed, "Http2-Settings")
	}
	return passed
}

// The credential is not passed on: not in the target, nor in the URL, nor in a form that somebody
// has read already.
func stripQuery(r *http.Request, target string) {
	if stripped := StripQuery(target); r.RequestURI != "" && stripped != target {
		r.RequestURI = stripped
	}
	if r.URL != nil && r.URL.RawQuery != "" {
		whole := "/?" + r.URL.RawQuery
		if stripped := StripQuery(whole); stripped != whole {
			at := *r.URL
			at.RawQuery = strings.TrimPrefix(strings.TrimPrefix(stripped, "/"), "?")
			r.URL, r.Form = &at, nil
		}
	}
	if values := r.Header["Referer"]; len(values) > 0 {
		kept := make([]string, len(values))
		for i, value := range values {
			kept[i] = StripQuery(value)
		}
		r.Header["Referer"] = kept
	}
}
