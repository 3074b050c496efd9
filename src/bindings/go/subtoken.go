// Package subtoken verifies subtokens, and is middleware for net/http that decides which requests
// may pass. It is cgo over libsubtoken, which pkg-config must find.
//
//	edge, err := subtoken.New(subtoken.Options{
//		Secrets:     "/etc/subtoken/secrets",
//		Revocations: "/var/lib/subtoken/revocations",
//		Policy:      "/etc/subtoken/policy.json",
//		Server:      "http://127.0.0.1:8080", // is asked about whole keys
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer edge.Close()
//	log.Fatal(http.ListenAndServe("127.0.0.1:8081", edge.Handler(api)))
//
// A handler behind it learns who asks from IdentityOf(r.Context()), or from the X-Subtoken-*
// headers. Statuses, bodies and headers of what is refused are those of every other edge of
// subtoken.
//
// All methods may be called by any number of goroutines. C memory that held a secret or a
// credential is wiped before it is freed.
package subtoken

// #cgo pkg-config: subtoken
// #include "shim.h"
import "C"

import (
	"strings"
	"time"
	"unsafe"
)

// A Result is the rule that decided about a token: OK, or why it is refused. All but OK are errors:
// errors.Is(err, subtoken.Expired).
type Result int

// The results, in the order in which the rules are applied. Their names are those that the command
// line's verify prints.
const (
	OK                Result = C.SUBTOKEN_OK
	TooLarge          Result = C.SUBTOKEN_TOO_LARGE
	Malformed         Result = C.SUBTOKEN_MALFORMED
	BadAlg            Result = C.SUBTOKEN_ALG
	BadHeader         Result = C.SUBTOKEN_HEADER
	UnknownKid        Result = C.SUBTOKEN_KID
	BadMAC            Result = C.SUBTOKEN_MAC
	BadClaims         Result = C.SUBTOKEN_CLAIMS
	ExpBeforeIat      Result = C.SUBTOKEN_EXP_BEFORE_IAT
	TooLong           Result = C.SUBTOKEN_TTL
	IatFuture         Result = C.SUBTOKEN_IAT_FUTURE
	NotYet            Result = C.SUBTOKEN_NOT_YET
	Expired           Result = C.SUBTOKEN_EXPIRED
	OtherIssuer       Result = C.SUBTOKEN_ISS
	OtherAudience     Result = C.SUBTOKEN_AUD
	Revoked           Result = C.SUBTOKEN_REVOKED
	RevocationUnknown Result = C.SUBTOKEN_REVOCATION_UNKNOWN // no trustworthy revocation data
	BadTarget         Result = C.SUBTOKEN_BAD_TARGET         // it can be read in more than one way
	URLNotListed      Result = C.SUBTOKEN_URL
	PermissionLacking Result = C.SUBTOKEN_PERM
	InvalidArgument   Result = C.SUBTOKEN_INVALID_ARGUMENT
)

// String is the name of the result: "expired".
func (r Result) String() string { return C.GoString(C.subtoken_result_name(C.subtoken_result(r))) }

// Error is the name of the result with the package's in front.
func (r Result) Error() string { return "subtoken: " + r.String() }

// Status is the HTTP status that the result becomes: 200, 400, 401, 403, 503; 500 for the caller's
// own errors.
func (r Result) Status() int { return int(C.subtoken_result_status(C.subtoken_result(r))) }

// Challenge is the value of WWW-Authenticate for that status, or "".
func (r Result) Challenge() string {
	text := C.subtoken_result_challenge(C.subtoken_result(r))
	if text == nil {
		return ""
	}
	return C.GoString(text)
}

// Version is that of the library that is linked.
func Version() string { return C.GoString(C.subtoken_version()) }

// Claims are what a token says. Permissions are never nil.
type Claims struct {
	Sub         string
	ID          string   // the token's: the revocation data lists it where the token was revoked
	Via         []string // the IDs of the tokens that it was made from, the oldest first
	Audience    []string // the aud claim
	IssuedAt    time.Time
	Expires     time.Time
	NotBefore   time.Time // zero when absent
	Issuer      string    // "" when absent
	Session     string    // the sid claim, "" when absent
	Permissions []string
	URLs        []string // the allowlist; meaningful unless EveryURL
	EveryURL    bool     // the token is not restricted to URLs
}

// Has tells whether the claims have a permission, byte for byte.
func (c *Claims) Has(permission string) bool { return contains(c.Permissions, permission) }

func contains(list []string, text string) bool {
	for _, each := range list {
		if each == text {
			return true
		}
	}
	return false
}

// One copy of the text; all strings are parts of it.
func claimsOf(c *C.subtoken_claims) *Claims {
	text := string(unsafe.Slice((*byte)(unsafe.Pointer(&c.text[0])), int(c.text_len)))
	cut := func(s C.subtoken_slice) string { return text[int(s.at) : int(s.at)+int(s.len)] }
	claims := &Claims{
		Sub:         cut(c.sub),
		ID:          cut(c.tid),
		IssuedAt:    time.Unix(int64(c.iat), 0),
		Expires:     time.Unix(int64(c.exp), 0),
		Issuer:      cut(c.iss),
		Session:     cut(c.sid),
		EveryURL:    bool(c.every_url),
		Permissions: make([]string, int(c.permission_count)),
	}
	if c.nbf != 0 {
		claims.NotBefore = time.Unix(int64(c.nbf), 0)
	}
	for i := range claims.Permissions {
		claims.Permissions[i] = cut(c.permissions[i])
	}
	for i := 0; i < int(c.url_count); i++ {
		claims.URLs = append(claims.URLs, cut(c.urls[i]))
	}
	for i := 0; i < int(c.via_count); i++ {
		claims.Via = append(claims.Via, cut(c.via[i]))
	}
	for at := C.size_t(0); ; {
		audience := C.subtoken_claims_audience(c, &at)
		if audience.data == nil {
			return claims
		}
		claims.Audience = append(claims.Audience, goText(audience))
	}
}

// Inspect reads a token without verifying it: for display only.
func Inspect(token string) (header string, claims *Claims, err error) {
	call := C.st_go_call_new(0)
	if call == nil {
		return "", nil, errNoMemory
	}
	defer C.st_go_call_free(call)
	data, free := cString(token)
	defer free()
	if result := Result(C.st_go_inspect(call, data, C.size_t(len(token)))); result != OK {
		return "", nil, result
	}
	return C.GoString(&call.memory[0]), claimsOf(&call.claims), nil
}

// IsIdentityHeader tells whether a header's name is X-Subtoken-* in any spelling: what a caller
// sent under such a name must not reach the API.
func IsIdentityHeader(name string) bool {
	// The library is asked only about names that could be one.
	if len(name) < len("X-Subtoken-") || name[0]|0x20 != 'x' {
		return false
	}
	data, free := cString(name)
	defer free()
	return bool(C.st_go_is_identity_header(data, C.size_t(len(name))))
}

// StripQuery removes access_token= from the query of a target, however it is escaped, and leaves
// the rest byte for byte.
func StripQuery(target string) string {
	query := strings.IndexByte(target, '?')
	if query < 0 || !strings.ContainsAny(target[query:], "aA%") {
		return target
	}
	data, free := cString(target)
	defer free()
	out := make([]byte, len(target))
	var changed C.bool
	n := C.st_go_strip_query(data, C.size_t(len(target)), (*C.char)(unsafe.Pointer(&out[0])), &changed)
	if !changed {
		return target
	}
	return string(out[:int(n)])
}
