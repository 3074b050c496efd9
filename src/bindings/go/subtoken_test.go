package subtoken

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ---- what the tests share ----

var secret = sha256.Sum256([]byte("the secret of the Go tests"))

func ringText(kid string, secret []byte) []byte {
	return []byte(kid + ":" + base64.RawURLEncoding.EncodeToString(secret) + "\n")
}

func sign(t testing.TB, secret []byte, claims map[string]any) string {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))
	whole := head + "." + base64.RawURLEncoding.EncodeToString(text)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(whole))
	return whole + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func token(t testing.TB, permissions []string, more ...any) string {
	claims := map[string]any{"sub": "parent", "iat": time.Now().Unix() - 10, "exp": time.Now().Unix() + 1000, "permissions": permissions}
	for i := 0; i < len(more); i += 2 {
		claims[more[i].(string)] = more[i+1]
	}
	return sign(t, secret[:], claims)
}

const policyText = `{"default":"deny","preflight":true,"routes":[
	{"path":"/v2/account","needs":["account"]},
	{"path":"/v2/account/bank","methods":["GET"],"needs":["account","inventories"]},
	{"path":"/rpc","methods":["POST"],"json_rpc":true},
	{"path":"/v2/items","public":true}]}`

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func newVerifier(t testing.TB, change func(*Options)) *Verifier {
	t.Helper()
	ring, err := ParseRing(ringText("", secret[:]))
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Ring: ring, WithoutRevocations: true, ErrorLog: quiet()}
	if change != nil {
		change(&options)
	}
	v, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func withPolicy(o *Options) {
	policy, err := ParsePolicy([]byte(policyText))
	if err != nil {
		panic(err)
	}
	o.PolicyText = policy
}

// ---- tokens ----

func TestVerify(t *testing.T) {
	v := newVerifier(t, nil)
	good := token(t, []string{"account"}, "urls", []string{"/v2/account", "GET:/v2/items"})
	claims, err := v.Verify(good, Request{Target: "/v2/account", Needs: []string{"account"}})
	if err != nil || claims.Sub != "parent" || !claims.Has("account") || claims.Has("x") || claims.EveryURL ||
		!reflect.DeepEqual(claims.URLs, []string{"/v2/account", "GET:/v2/items"}) {
		t.Fatal(claims, err)
	}
	for _, c := range []struct {
		token   string
		request Request
		want    Result
	}{
		{good, Request{Target: "/v2/account"}, OK},
		{good, Request{Target: "/v2/items", Method: "GET"}, OK},
		{good, Request{Target: "/v2/items"}, URLNotListed},
		{good, Request{}, URLNotListed},
		{good, Request{Target: "/v2//account"}, BadTarget},
		{good, Request{Target: "/v2/account", Needs: []string{"bank"}}, PermissionLacking},
		{good, Request{Target: "/v2/account", Now: time.Now().Add(2000 * time.Second)}, Expired},
		{good, Request{Target: "/v2/account", Now: time.Unix(-5, 0)}, InvalidArgument},
		{good + "!", Request{Target: "/v2/account"}, Malformed},
		{good[:len(good)-2] + "AA", Request{}, BadMAC},
		{"", Request{}, Malformed},
		{strings.Repeat("x", 2<<20), Request{}, TooLarge},
		{good, Request{Needs: make([]string, 200)}, InvalidArgument},
	} {
		for i := 0; i < 2; i++ { // the second time from the cache
			_, err := v.Verify(c.token, c.request)
			if (c.want == OK) != (err == nil) || (err != nil && !errors.Is(err, c.want)) {
				t.Errorf("%.20q %+v: %v, not %v", c.token, c.request.Target, err, c.want)
			}
		}
	}
	if text := v.Explain(good, Request{Target: "/v2/bank"}, URLNotListed); !strings.Contains(text, "is not in [/v2/account") {
		t.Error(text)
	}
	if s := Expired.Status(); s != 401 || Expired.String() != "expired" || Expired.Challenge() != `Bearer error="invalid_token"` {
		t.Error(s, Expired)
	}
	header, read, err := Inspect(good)
	if err != nil || header != `{"alg":"HS256","typ":"JWT"}` || read.Sub != "parent" {
		t.Error(header, read, err)
	}
	if _, _, err := Inspect("a.b"); !errors.Is(err, Malformed) {
		t.Error(err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	ring, _ := ParseRing(ringText("", secret[:]))
	for name, o := range map[string]Options{
		"no ring":         {WithoutRevocations: true},
		"both":            {Ring: ring, Secrets: "x", WithoutRevocations: true},
		"no word of them": {Ring: ring},
		"leeway":          {Ring: ring, WithoutRevocations: true, Leeway: 2 * time.Hour},
		"cache":           {Ring: ring, WithoutRevocations: true, CacheSize: 5},
		"server":          {Ring: ring, WithoutRevocations: true, Server: "unix:/x"},
		"forms":           {Ring: ring, WithoutRevocations: true, Forms: 512},
		"no file":         {Secrets: "/nonexistent/ring", WithoutRevocations: true},
	} {
		if v, err := New(o); err == nil {
			v.Close()
			t.Error(name)
		}
	}
	for _, text := range []string{"", "x", ":c2hvcnQ\n"} {
		if _, err := ParseRing([]byte(text)); err == nil || strings.Contains(err.Error(), "c2hvcnQ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ParsePolicy([]byte(`{"default":"deny","routes":[{"path":"x"}]}`)); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "ring")
	os.WriteFile(path, ringText("", secret[:]), 0o600)
	os.Chmod(path, 0o644)
	if _, err := ReadRing(path); err == nil || !strings.Contains(err.Error(), "open to others") {
		t.Error(err)
	}
	// A part of a ring would lack secrets: this file cannot be read at its start.
	if _, err := ReadRing("/proc/self/mem"); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

// ---- requests ----

// An API that tells what it was asked.
type seen struct {
	Method, Target, Query, Body string
	Header                      http.Header
	Identity                    *Identity
}

func api(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	identity, _ := IdentityOf(r.Context())
	json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.URL.RawQuery, string(body), r.Header, identity})
}

func ask(t testing.TB, h http.Handler, method, target, body string, headers ...string) (*httptest.ResponseRecorder, *seen) {
	t.Helper()
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.RequestURI = target
	if at, err := url.ParseRequestURI(target); err == nil {
		r.URL = at
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		// As the server has them: known names canonical, and others as they come.
		r.Header[http.CanonicalHeaderKey(name)] = append(r.Header[http.CanonicalHeaderKey(name)], value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 {
		return w, nil
	}
	s := new(seen)
	if err := json.Unmarshal(w.Body.Bytes(), s); err != nil {
		t.Fatal(w.Body.String())
	}
	return w, s
}

func TestHandler(t *testing.T) {
	h := newVerifier(t, withPolicy).Handler(http.HandlerFunc(api))
	good := token(t, []string{"account"})
	bearer := "Authorization: Bearer " + good
	for _, c := range []struct {
		method, target string
		headers        []string
		status         int
		challenge      string
		text           string
	}{
		{"GET", "/v2/account", []string{bearer}, 200, "", ""},
		{"GET", "/v2/account", []string{"X-API-Key: " + good}, 200, "", ""},
		{"GET", "/v2/account", []string{"X-API-Key: " + good, bearer}, 200, "", ""},
		{"GET", "/v2/account?access_token=" + good, nil, 200, "", ""},
		{"GET", "/v2/items", nil, 200, "", ""},
		{"OPTIONS", "/v2/account", []string{"Origin: https://a", "Access-Control-Request-Method: PUT"}, 200, "", ""},
		{"GET", "http://api.example/v2/account", []string{bearer}, 400, "", "the request target can be read in more than one way"},
		{"GET", "/v2/account", nil, 401, "Bearer", "Invalid access token"},
		{"GET", "/v2/account", []string{bearer + "x"}, 401, `Bearer error="invalid_token"`, "Invalid access token"},
		{"GET", "/v2/account/bank", []string{bearer}, 403, `Bearer error="insufficient_scope"`, "requires scope inventories"},
		{"PUT", "/v2/account/bank", []string{bearer}, 403, `Bearer error="insufficient_scope"`, "the route policy does not allow this request"},
		{"GET", "/v2/account", []string{bearer, bearer}, 400, `Bearer error="invalid_request"`, "more than one credential"},
		{"GET", "/v2//account", []string{bearer}, 400, "", "the request target can be read in more than one way"},
		{"GET", "/v2/x/../account", []string{bearer}, 400, "", "the request target can be read in more than one way"},
		{"GET", "/v2/x%2Faccount", []string{bearer}, 400, "", "the request target can be read in more than one way"},
		{"OPTIONS", "*", []string{bearer}, 400, "", "the request target can be read in more than one way"},
		{"GET", "/v2/account", []string{"X-API-Key: 01234567-0123"}, 401, `Bearer error="invalid_token"`, "Invalid access token"},
	} {
		for i := 0; i < 2; i++ {
			w, _ := ask(t, h, c.method, c.target, "", c.headers...)
			if w.Code != c.status || w.Header().Get("WWW-Authenticate") != c.challenge {
				t.Errorf("%s %s %v: %d %q %s", c.method, c.target, c.headers, w.Code, w.Header(), w.Body)
			}
			if c.text != "" && w.Body.String() != `{"text":"`+c.text+`"}` {
				t.Errorf("%s %s: %s", c.method, c.target, w.Body)
			}
			if c.status != 200 && (w.Header().Get("Content-Type") != "application/json; charset=utf-8" ||
				w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Access-Control-Allow-Origin") != "*") {
				t.Error(w.Header())
			}
		}
	}
}

func TestWhatTheNextHandlerSees(t *testing.T) {
	h := newVerifier(t, withPolicy).Handler(http.HandlerFunc(api))
	good := token(t, []string{"account", "guilds"})
	for query, left := range map[string]string{
		"access_token=%s": "", "a=%%2F&access_token=%s": "a=%2F", "access_token=%s&a": "a",
		"a&access%%5Ftoken=%s&&b=%%20": "a&&b=%20", "%%61ccess_token=%s": "",
	} {
		_, s := ask(t, h, "GET", "/v2/account?"+fmt.Sprintf(query, good), "", "Referer: https://a/?access_token="+good+"&x=1")
		want := "/v2/account"
		if left != "" {
			want += "?" + left
		}
		if s == nil || s.Target != want || s.Query != left || strings.Contains(fmt.Sprint(s), good) || s.Header.Get("Referer") != "https://a/?x=1" {
			t.Errorf("%s: %+v", query, s)
		}
	}
	spoofed := []string{"X-Subtoken-Sub: root", "X_Subtoken_Sub: root", "X-Subtoken_Owner: root", "X.Subtoken.Key: root",
		"x-SUBTOKEN-expires: 9", "X-Subtoken-Nonce: 1", "Connection: close, X-Subtoken-Sub", "Upgrade: h2c", "Http2-Settings: x"}
	w, s := ask(t, h, "POST", "/v2/account", "some=body", append(spoofed, "Authorization: Bearer "+good)...)
	if s == nil || s.Body != "some=body" || strings.Contains(fmt.Sprint(s.Header), "root") || s.Header.Get("Upgrade") != "" ||
		s.Header.Get("Connection") != "close" || s.Header.Get("X-Subtoken-Sub") != "parent" ||
		s.Header.Get("X-Subtoken-Permissions") != "account,guilds" || s.Header.Get("X-Subtoken-Expires") == "9" ||
		s.Header.Get("Http2-Settings") != "" || len(s.Header["X-Subtoken-Nonce"]) > 0 {
		t.Errorf("%d %+v", w.Code, s)
	}
	if s.Identity == nil || s.Identity.Sub != "parent" || !s.Identity.Has("guilds") || s.Identity.Has("x") || s.Identity.Expires.IsZero() {
		t.Errorf("%+v", s.Identity)
	}
	if _, s := ask(t, h, "GET", "/v2/items", "", spoofed...); s == nil || s.Identity != nil || strings.Contains(fmt.Sprint(s.Header), "root") {
		t.Errorf("%+v", s)
	}
	if _, s := ask(t, h, "GET", "/v2/items", "", "Upgrade: websocket"); s.Header.Get("Upgrade") != "websocket" {
		t.Errorf("%+v", s)
	}
}

func TestFormsThatAreLeftOut(t *testing.T) {
	h := newVerifier(t, func(o *Options) { withPolicy(o); o.Forms = Bearer }).Handler(http.HandlerFunc(api))
	good := token(t, []string{"account"})
	if w, _ := ask(t, h, "GET", "/v2/account?access_token="+good, ""); w.Code != 401 {
		t.Error(w.Code)
	}
	_, s := ask(t, h, "GET", "/v2/account?access_token=x", "", "Authorization: Bearer "+good)
	if s == nil || s.Query != "access_token=x" {
		t.Errorf("%+v", s)
	}
}

func TestJSONRPC(t *testing.T) {
	h := newVerifier(t, withPolicy).Handler(http.HandlerFunc(api))
	bearer := "Authorization: Bearer " + token(t, []string{"history_api"})
	history := `{"method":"call","params":["history","x",[]],"id":1}`
	for body, status := range map[string]int{
		history: 200, `{"method":"call","params":["database","x",[]]}`: 403, `{"method":`: 400, "": 400,
		`{"method":"history_api.x","x":"` + strings.Repeat("y", 300000) + `"}`: 413,
	} {
		w, s := ask(t, h, "POST", "/rpc", body, bearer)
		if w.Code != status || (s != nil && s.Body != body) {
			t.Errorf("%.60s: %d %.100s", body, w.Code, w.Body)
		}
	}
	if w, _ := ask(t, h, "POST", "/rpc", history); w.Code != 401 {
		t.Error(w.Code)
	}
}

// Who has read a body may have kept it: then headers are no reason to let it pass.
func TestABodyThatSomebodyHasRead(t *testing.T) {
	var logged strings.Builder
	v := newVerifier(t, func(o *Options) {
		o.ErrorLog = log.New(&logged, "", 0)
		policy, err := ParsePolicy([]byte(`{"default":"deny","routes":[{"path":"/rpc","json_rpc":true},{"path":"/mcp","needs":["mcp"],
			"mcp":{"tools/call *":["admin"]},"mcp_headers":"2026-07-28"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		o.PolicyText = policy
	})
	passed := false
	handler := v.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true }))
	bearer := "Bearer " + token(t, []string{"mcp"})
	drop := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"drop"}}`
	for name, outer := range map[string]func(*http.Request){
		"drained": func(r *http.Request) { io.Copy(io.Discard, r.Body) },
		"closed":  func(r *http.Request) { r.Body.Close() },
		"in part": func(r *http.Request) { r.Body.Read(make([]byte, 5)) },
		"taken":   func(r *http.Request) { io.Copy(io.Discard, r.Body); r.Body = http.NoBody },
		"nil":     func(r *http.Request) { r.Body = nil },
		"put back": func(r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		},
		"alone": func(*http.Request) {},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			outer(r)
			handler.ServeHTTP(w, r)
		}))
		for _, path := range []string{"/mcp", "/rpc"} {
			for _, chunked := range []bool{false, true} {
				if chunked && name == "in part" {
					continue // what is left is no JSON, and all that the API will see
				}
				logged.Reset()
				passed = false
				var body io.Reader = strings.NewReader(drop)
				if chunked {
					body = io.MultiReader(body)
				}
				r, _ := http.NewRequest("POST", server.URL+path, body)
				for name, value := range map[string]string{"Authorization": bearer, "Content-Type": "application/json",
					"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "ping"} {
					r.Header.Set(name, value)
				}
				response, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(response.Body)
				response.Body.Close()
				want := 503
				if name == "put back" || name == "alone" {
					want = map[string]int{"/mcp": 400, "/rpc": 403}[path] // judged by the body
				}
				said := strings.Count(logged.String(), "subtoken: 503: the body was read before")
				if response.StatusCode != want || passed || (said == 1) != (want == 503) {
					t.Errorf("%s %s %v: %d %s, logged %q", name, path, chunked, response.StatusCode, text, logged.String())
				}
				if want == 503 && (response.Header.Get("Retry-After") == "" || len(text) == 0) {
					t.Error(response.Header, string(text))
				}
			}
		}
		server.Close()
	}
	r := httptest.NewRequest("POST", "/mcp", nil) // without a body the headers decide
	r.Header.Set("Authorization", bearer)
	r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	r.Header.Set("Mcp-Method", "ping")
	w := httptest.NewRecorder()
	if handler.ServeHTTP(w, r); w.Code != 200 || !passed {
		t.Error(w.Code, w.Body)
	}
}

func TestCharsets(t *testing.T) {
	for value, good := range map[string]bool{
		"": true, "application/json": true, "text": true, "application/json; charset=utf-8": true, "a/b;charset=UTF-8": true,
		`a/b; charset="utf-8"`: true, "a/b; Charset=Utf-8 \t; x=y": true, "a/b; x=y": true, "a/b;;": true,
		"a/b; charset=utf-7": false, "a/b; charset=utf-16": false, "a/b; charset=utf8": false, "a/b; charset": false,
		"a/b; charset=": false, "a/b; charset =utf-8": false, `a/b; charset="utf-8`: false, `a/b; charset=utf-8"`: false,
		"a/b; charset=utf-8x": false, "a/b; charset=utf-8, c/d": false, "a/b; charset=utf-8; charset=utf-8": false,
		`a/b; x="charset=utf-8"; charset=utf-16`: false, "charset": false,
	} {
		if inUTF8(value) != good {
			t.Errorf("%q", value)
		}
	}
}

// ---- the server is asked ----

const key = "01234567-0123-0123-0123-0123456789ABCDEF0123-0123-0123-0123-0123456789AB"

// What /v2/authorize does, for one key and one password.
func endpoint(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Subtoken-Nonce", r.Header.Get("X-Subtoken-Nonce"))
	for _, name := range []string{"Sub", "Key", "Owner", "Permissions", "Expires"} {
		header.Set("X-Subtoken-"+name, "")
	}
	credential := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key")
	switch {
	case strings.HasSuffix(credential, key):
		header.Set("X-Subtoken-Sub", "parent")
		header.Set("X-Subtoken-Key", key[:36])
		header.Set("X-Subtoken-Owner", "J%C3%B8rn")
		header.Set("X-Subtoken-Permissions", "account")
		w.WriteHeader(403) // by its own policy
	case strings.HasPrefix(credential, "Basic "):
		header.Set("Retry-After", "7")
		w.WriteHeader(429)
	default:
		w.WriteHeader(401)
	}
}

func derive(secret []byte, audience string) []byte {
	extract := hmac.New(sha256.New, make([]byte, 32))
	extract.Write(secret)
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte("subtoken aud 1:" + audience + "\x01"))
	return expand.Sum(nil)
}

func signAs(t testing.TB, kid string, secret []byte, claims map[string]any) string {
	t.Helper()
	whole := sign(t, secret, claims)
	payload := strings.Split(whole, ".")[1]
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT","kid":"`+kid+`"}`)) + "." + payload
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestAudiences(t *testing.T) {
	now := time.Now().Unix()
	claims := map[string]any{"sub": "parent", "iat": now - 10, "exp": now + 1000, "permissions": []string{"account"}, "aud": "eu",
		"via": []string{"AAAAAAAAAAAAAAAA"}}
	bound := signAs(t, ".eu", derive(secret[:], "eu"), claims)
	plain := token(t, []string{"account"})
	ring, err := ParseRing(ringText(".eu", derive(secret[:], "eu")))
	if err != nil || ring.Audience() != "eu" {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name         string
		change       func(*Options)
		bound, plain Result
	}{
		{"none", nil, OtherAudience, OK},
		{"eu", func(o *Options) { o.Audience = "eu" }, OK, OtherAudience},
		{"us", func(o *Options) { o.Audience = "us" }, OtherAudience, OtherAudience},
		{"derived", func(o *Options) { o.Ring = ring }, OK, UnknownKid},
	} {
		v := newVerifier(t, c.change)
		got, err := v.Verify(bound, Request{})
		if c.bound == OK && (err != nil || got.ID != strings.Split(bound, ".")[2][:16] || !reflect.DeepEqual(got.Via, []string{"AAAAAAAAAAAAAAAA"}) ||
			!reflect.DeepEqual(got.Audience, []string{"eu"})) {
			t.Error(c.name, got, err)
		}
		if c.bound != OK && !errors.Is(err, c.bound) {
			t.Error(c.name, err)
		}
		if _, err := v.Verify(plain, Request{}); (c.plain == OK) != (err == nil) || (err != nil && !errors.Is(err, c.plain)) {
			t.Error(c.name, err)
		}
	}
}

func TestCallsOfMCP(t *testing.T) {
	v := newVerifier(t, func(o *Options) {
		o.AuthorizationServer = "https://keys.example"
		policy, err := ParsePolicy([]byte(`{"default":"deny","routes":[{"path":"/mcp","needs":["mcp"],"resource":"https://api.example/mcp",
			"mcp":{"tools/call search":["docs"],"tools/call *":["admin"]}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		o.PolicyText = policy
	})
	var read string
	handler := v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		read = string(body)
		identity, _ := IdentityOf(r.Context())
		w.Header().Set("Token", identity.Token)
	}))
	good := token(t, []string{"mcp", "docs"})
	ask := func(method, target, body string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	call := func(name string) string {
		return `{"jsonrpc":"2.0","id":"seven","method":"tools/call","params":{"name":"` + name + `"}}`
	}
	bearer := []string{"Authorization", "Bearer " + good}
	if w := ask("POST", "/mcp", call("search"), bearer...); w.Code != 200 || read != call("search") || w.Header().Get("Token") != strings.Split(good, ".")[2][:16] {
		t.Error(w.Code, read, w.Header())
	}
	if w := ask("POST", "/mcp", "["+call("search")+","+call("drop")+"]", bearer...); w.Code != 403 ||
		w.Header().Get("WWW-Authenticate") != `Bearer error="insufficient_scope", scope="admin"` {
		t.Error(w.Code, w.Header())
	}
	for _, headers := range [][]string{{"Mcp-Name", "drop"}, {"Mcp-Method", "tools/list"}, {"Mcp-Name", "search", "Mcp-Name", "search"}} {
		w := ask("POST", "/mcp", call("search"), append(headers, bearer...)...)
		if w.Code != 400 || !strings.HasPrefix(w.Body.String(), `{"jsonrpc":"2.0","id":"seven","error":{"code":-32020,`) {
			t.Error(headers, w.Code, w.Body)
		}
	}
	if w := ask("GET", "/mcp", "", bearer...); w.Code != 200 {
		t.Error(w.Code)
	}
	where := "https://api.example/.well-known/oauth-protected-resource/mcp"
	if w := ask("POST", "/mcp", call("search")); w.Code != 401 || w.Header().Get("WWW-Authenticate") != `Bearer resource_metadata="`+where+`"` {
		t.Error(w.Code, w.Header())
	}
	w := ask("GET", "/.well-known/oauth-protected-resource/mcp?x", "")
	var document struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || w.Code != 200 || document.Resource != "https://api.example/mcp" ||
		!reflect.DeepEqual(document.Servers, []string{"https://keys.example"}) {
		t.Error(w.Code, w.Body, err)
	}
	if w := ask("GET", "/.well-known/oauth-protected-resource", ""); w.Code != 401 {
		t.Error(w.Code)
	}
	if _, err := New(Options{Ring: v.ring, WithoutRevocations: true, AuthorizationServer: "http://a"}); err == nil {
		t.Error("http")
	}
}

func TestTheServerIsAsked(t *testing.T) {
	var asked []*http.Request
	how := endpoint
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		how(w, r)
	}))
	defer server.Close()
	v := newVerifier(t, func(o *Options) { withPolicy(o); o.Server = server.URL; o.Timeout = 500 * time.Millisecond })
	h := v.Handler(http.HandlerFunc(api))
	for _, credential := range []string{"Authorization: Bearer " + key, "X-API-Key: " + key} {
		w, s := ask(t, h, "GET", "/v2/account?access_token=&x=1", "", credential, "X-Forwarded-For: 203.0.113.9", "Cookie: a=b",
			"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		if s == nil || s.Identity == nil || s.Identity.Owner != "J\u00f8rn" || s.Header.Get("X-Subtoken-Owner") != "J%C3%B8rn" ||
			s.Identity.Key != key[:36] || !s.Identity.Expires.IsZero() || s.Target != "/v2/account?x=1" {
			t.Fatalf("%d %s %+v", w.Code, w.Body, s)
		}
		q := asked[len(asked)-1]
		if q.Method != "HEAD" || q.URL.Path != "/v2/authorize" || q.Header.Get("X-Original-Method") != "GET" ||
			!strings.HasPrefix(q.Header.Get("X-Original-Uri"), "/v2/account") || len(q.Header.Get("X-Subtoken-Nonce")) != 32 ||
			q.Header.Get("X-Forwarded-For") != "203.0.113.9, 192.0.2.1" || q.Header.Get("Cookie") != "" ||
			q.Header.Get("Traceparent") != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" {
			t.Errorf("%+v", q)
		}
	}
	// Where nobody knows who the client is, what it wrote of itself must not stand for its address.
	for remote, want := range map[string]string{"": "", "@": "", "/run/edge.sock": "", "192.0.2.7": "203.0.113.9, 192.0.2.7",
		"[2001:db8::7]:80": "203.0.113.9, 2001:db8::7", "2001:db8::7": "203.0.113.9, 2001:db8::7"} {
		r := httptest.NewRequest("GET", "/v2/account", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-API-Key", key)
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if from := asked[len(asked)-1].Header.Get("X-Forwarded-For"); w.Code != 200 || from != want {
			t.Errorf("%q: %d %q", remote, w.Code, from)
		}
	}
	if w, _ := ask(t, h, "GET", "/v2/account/bank", "", "X-API-Key: "+key); w.Code != 403 || !strings.Contains(w.Body.String(), "inventories") {
		t.Error(w.Code, w.Body)
	}
	if w, _ := ask(t, h, "GET", "/v2/account", "", "X-API-Key: "+key[1:]+"0"); w.Code != 401 {
		t.Error(w.Code, w.Body)
	}
	if w, _ := ask(t, h, "GET", "/v2/account", "", "Authorization: Basic dTpw"); w.Code != 429 || w.Header().Get("Retry-After") != "7" {
		t.Error(w.Code, w.Header())
	}
	n := len(asked)
	ask(t, h, "GET", "/v2/account", "", "Authorization: Bearer "+token(t, []string{"account"}))
	ask(t, h, "GET", "/v2/items", "", "X-API-Key: "+key)
	if len(asked) != n {
		t.Error("nobody needs to be asked about these")
	}
	// Answers that are none: another nonce, a redirect, one that comes twice, none in time.
	for name, bad := range map[string]func(http.ResponseWriter, *http.Request){
		"nonce":    func(w http.ResponseWriter, r *http.Request) { r.Header.Set("X-Subtoken-Nonce", "x"); endpoint(w, r) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", 302) },
		"twice": func(w http.ResponseWriter, r *http.Request) {
			w.Header()["X-Subtoken-Sub"] = []string{"a", "b"}
			w.Header().Set("X-Subtoken-Nonce", r.Header.Get("X-Subtoken-Nonce"))
			w.WriteHeader(200)
		},
		"late": func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second) },
	} {
		how = bad
		if w, _ := ask(t, h, "GET", "/v2/account", "", "X-API-Key: "+key); w.Code != 503 || w.Header().Get("Retry-After") != "5" {
			t.Error(name, w.Code, w.Body)
		}
	}
}

// ---- files, threads, the end ----

func TestFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	secrets, policy := filepath.Join(dir, "secrets"), filepath.Join(dir, "policy.json")
	put := func(path string, text []byte) {
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Rename(path+".new", path)
	}
	put(secrets, ringText("", secret[:]))
	put(policy, []byte(policyText))
	var told bytes.Buffer
	var lock sync.Mutex
	logger := log.New(writer(func(p []byte) (int, error) { lock.Lock(); defer lock.Unlock(); return told.Write(p) }), "", 0)
	v, err := New(Options{Secrets: secrets, Policy: policy, WithoutRevocations: true, ErrorLog: logger})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	h := v.Handler(http.HandlerFunc(api))
	bearer := "Authorization: Bearer " + token(t, []string{"guilds"})
	until := func(status int, what string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if w, _ := ask(t, h, "GET", "/v2/account", "", bearer); w.Code == status {
				return
			} else if time.Now().After(deadline) {
				t.Fatal(what, w.Code)
			}
		}
	}
	until(403, "at first")
	put(policy, []byte(`{"default":"token"}`))
	until(200, "the policy")
	put(policy, []byte(`{"default":`))
	put(secrets, ringText("other", bytes.Repeat([]byte("ab"), 5)))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		lock.Lock()
		text := told.String()
		lock.Unlock()
		if strings.Contains(text, "subtoken: policy: ") && strings.Contains(text, "subtoken: secrets: ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(text)
		}
	}
	until(200, "what was loaded stays in use")
	other := sha256.Sum256([]byte("another"))
	put(secrets, ringText("", other[:]))
	until(401, "the ring: what the cache has is good no more")
}

// What keeps a file from being read may pass while the file stays as it is.
func TestAFileIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	secrets, policy := filepath.Join(dir, "secrets"), filepath.Join(dir, "policy.json")
	other := sha256.Sum256([]byte("another"))
	told := make(chan string, 100)
	logger := log.New(writer(func(p []byte) (int, error) { told <- string(p); return len(p), nil }), "", 0)
	for path, texts := range map[string][2][]byte{
		secrets: {ringText("", secret[:]), ringText("", other[:])},
		policy:  {[]byte(policyText), []byte(`{"default":"deny"}`)},
	} {
		for i, name := range []string{path, path + ".new"} {
			if err := os.WriteFile(name, texts[i], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	v, err := New(Options{Secrets: secrets, Policy: policy, WithoutRevocations: true, ErrorLog: logger})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	h := v.Handler(http.HandlerFunc(api))
	status := func() int {
		w, _ := ask(t, h, "GET", "/v2/account", "", "Authorization: Bearer "+token(t, []string{"account"}))
		return w.Code
	}
	until := func(wanted int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); status() != wanted; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(status())
			}
		}
	}
	until(200)
	for _, c := range []struct {
		path   string
		wanted int
	}{{policy, 403}, {secrets, 401}} {
		path, wanted := c.path, c.wanted
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		// No file can be opened; what is open works.
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
		os.Rename(path+".new", path)
		line := <-told
		before := status()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(line, "too many open files; what is loaded stays in use") || before == wanted {
			t.Fatal(line, before)
		}
		until(wanted)
		if len(told) > 0 {
			t.Fatal(<-told) // once is enough
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestWithoutRevocationDataItIs503(t *testing.T) {
	v := newVerifier(t, func(o *Options) {
		withPolicy(o)
		o.WithoutRevocations, o.Revocations = false, filepath.Join(t.TempDir(), "revocations")
	})
	w, _ := ask(t, v.Handler(http.HandlerFunc(api)), "GET", "/v2/account", "", "Authorization: Bearer "+token(t, []string{"account"}))
	if w.Code != 503 || w.Header().Get("Retry-After") != "5" {
		t.Error(w.Code, w.Header())
	}
	if _, ok := v.RevocationAge(); ok {
		t.Error("there is none")
	}
}

func TestManyAtOnceAndTheEnd(t *testing.T) {
	v := newVerifier(t, withPolicy)
	h := v.Handler(http.HandlerFunc(api))
	good, bad := token(t, []string{"account"}), token(t, []string{"guilds"})
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			for n := 0; n < 200; n++ {
				credential, status := good, 200
				if (i+n)%3 == 0 {
					credential, status = bad, 403
				}
				if w, _ := ask(t, h, "GET", "/v2/account", "", "Authorization: Bearer "+credential); w.Code != status && w.Code != 503 {
					t.Error(w.Code, status)
					return
				}
			}
		}(i)
	}
	time.Sleep(5 * time.Millisecond)
	v.Close() // while they run: 503 from now on
	group.Wait()
	w, _ := ask(t, h, "GET", "/v2/account", "", "Authorization: Bearer "+good)
	if w.Code != 503 || w.Body.String() == "" || w.Header().Get("Retry-After") != "5" {
		t.Error(w.Code, w.Header())
	}
	if _, err := v.Verify(good, Request{}); !errors.Is(err, RevocationUnknown) {
		t.Error(err)
	}
	v.Close()
}

// A reverse proxy behind the handler gets what it should pass on.
func TestBehindIsAReverseProxy(t *testing.T) {
	back := httptest.NewServer(http.HandlerFunc(api))
	defer back.Close()
	to, _ := url.Parse(back.URL)
	front := httptest.NewServer(newVerifier(t, withPolicy).Handler(httputil.NewSingleHostReverseProxy(to)))
	defer front.Close()
	r, _ := http.NewRequest("GET", front.URL+"/v2/account?x=%2F&access_token="+token(t, []string{"account"}), nil)
	r.Header = http.Header{"X_subtoken_sub": {"root"}, "Connection": {"X-Subtoken-Sub"}}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var s seen
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil || s.Target != "/v2/account?x=%2F" ||
		s.Header.Get("X-Subtoken-Sub") != "parent" || len(s.Header["X_subtoken_sub"]) > 0 {
		t.Errorf("%v %+v", err, s)
	}
}

// A trailer that a caller makes up is no identity either: proxies pass trailers on, and some APIs read them as headers.
func TestTrailersNameNobody(t *testing.T) {
	seen := make(chan http.Header, 1)
	front := httptest.NewServer(newVerifier(t, withPolicy).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
	})))
	defer front.Close()
	for _, c := range []struct{ declared, sent string }{
		{"X-Subtoken-Sub", "X-Subtoken-Sub"},
		{"x_subtoken_owner, Grpc-Status", "x_subtoken_owner"},
		{"Grpc-Status", "X-Subtoken-Permissions"}, // another than was declared
		{"", "X-Subtoken-Key"},
	} {
		for _, call := range []string{"/v2/account", "/rpc"} { // of the second the body is read before
			conn, err := net.Dial("tcp", front.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			body := `{"method":"account.get","params":[]}`
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\nTrailer: %s\r\n\r\n%x\r\n%s\r\n0\r\n%s: root\r\nGrpc-Status: 7\r\n\r\n",
				call, token(t, []string{"account", "account_api"}), c.declared, len(body), body, c.sent)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || answer.StatusCode != 200 {
				t.Fatal(answer, err)
			}
			conn.Close()
			got := <-seen
			for name := range got {
				if IsIdentityHeader(name) {
					t.Errorf("%s %+v: the API sees the trailers %v", call, c, got)
				}
			}
			if strings.Contains(c.declared, "Grpc-Status") && got.Get("Grpc-Status") != "7" {
				t.Errorf("%s %+v: %v, another trailer is lost", call, c, got)
			}
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b, nil)
	good := token(b, []string{"account"})
	for i := 0; i < b.N; i++ {
		if _, err := v.Verify(good, Request{Target: "/v2/account", Method: "GET"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	v := newVerifier(b, withPolicy)
	h := v.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/v2/account", nil)
	r.Header.Set("Authorization", "Bearer "+token(b, []string{"account"}))
	for i := 0; i < b.N; i++ {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
