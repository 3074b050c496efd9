package subtoken

// #include "shim.h"
import "C"

import (
	"net/http"
	"strings"
	"sync"
	"unsafe"
)

// The texts of one C call, joined: cgo may not be given Go memory with pointers in it.
type arguments struct {
	raw  C.st_go_request
	text []byte
}

var argumentsPool = sync.Pool{New: func() any { return new(arguments) }}

func newArguments() *arguments {
	a := argumentsPool.Get().(*arguments)
	a.raw = C.st_go_request{now: -1}
	a.raw.answer = [C.ST_GO_ANSWER]C.int32_t{-1, -1, -1, -1, -1, -1, -1}
	return a
}

// It may hold a credential.
func (a *arguments) release() {
	for i := range a.text {
		a.text[i] = 0
	}
	a.text = a.text[:0]
	argumentsPool.Put(a)
}

func (a *arguments) data() *C.char {
	if len(a.text) == 0 {
		a.text = append(a.text, 0)
	}
	return (*C.char)(unsafe.Pointer(&a.text[0]))
}

const textMax = 1 << 20 // no text that is decided about is so long

// What is longer than any text that the library reads is cut behind that: it is refused as long.
func (a *arguments) add(text string) C.uint32_t {
	if len(text) > textMax {
		text = text[:textMax]
	}
	a.text = append(a.text, text...)
	return C.uint32_t(len(text))
}

func (a *arguments) token(token string) bool {
	a.raw.token = a.add(token)
	return true
}

// For Verify: after the token. False: it needs more than any token has.
func (a *arguments) request(request *Request, more int) bool {
	if len(request.Needs)+more > C.ST_GO_NEEDS {
		return false
	}
	if !request.Now.IsZero() {
		a.raw.now = C.int64_t(request.Now.Unix())
		if a.raw.now < 0 {
			return false
		}
	}
	a.raw.has_method, a.raw.has_target = request.Method != "", request.Target != ""
	a.raw.method = a.add(request.Method)
	a.raw.target = a.add(request.Target)
	a.raw.needs_count = C.uint32_t(len(request.Needs))
	for i, need := range request.Needs {
		a.raw.needs[i] = a.add(need)
	}
	return true
}

// The values that differ, for the same credential twice is one. Of more than there is room for the
// first are as ambiguous as all.
func (a *arguments) values(values []string, lengths *[C.ST_GO_VALUES]C.uint32_t, repeats bool) C.uint32_t {
	n := 0
	for i, value := range values {
		if n == len(lengths) {
			break
		}
		if !repeats && contains(values[:i], value) {
			continue
		}
		lengths[n] = a.add(value)
		n++
	}
	return C.uint32_t(n)
}

// As net/http writes their names.
var mcpHeaders = [3]string{"Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version"}

// Some servers decode a body by the charset that its Content-Type names. In another than UTF-8 it is another body.
// Wherever the word is, it must say so, in the spelling that every reader takes for it; no charset is UTF-8.
func inUTF8(contentType string) bool {
	pieces := strings.Split(strings.ToLower(contentType), "charset")
	for _, piece := range pieces[1:] {
		rest := strings.TrimPrefix(piece, `="utf-8"`)
		if len(rest) == len(piece) {
			rest = strings.TrimPrefix(piece, "=utf-8")
		}
		if len(rest) == len(piece) {
			return false
		}
		if rest = strings.TrimLeft(rest, " \t"); rest != "" && rest[0] != ';' {
			return false
		}
	}
	return len(pieces) <= 2
}

// For requests over HTTP.
func (a *arguments) http(r *http.Request, target string) {
	a.raw.has_method, a.raw.has_target = true, true
	a.raw.method = a.add(r.Method)
	a.raw.target = a.add(target)
	a.raw.authorization_count = a.values(r.Header["Authorization"], &a.raw.authorization, true)
	a.raw.x_api_key_count = a.values(r.Header["X-Api-Key"], &a.raw.x_api_key, false)
	for i, name := range mcpHeaders {
		values := r.Header[name]
		if len(values) > len(a.raw.mcp[i]) {
			values = values[:len(a.raw.mcp[i])]
		}
		for j, value := range values {
			a.raw.mcp[i][j] = a.add(value)
		}
		a.raw.mcp_count[i] = C.uint32_t(len(values))
	}
	a.raw.has_body = C.bool(r.ContentLength != 0) // also when somebody has taken it off: see readBody
	a.raw.origin = C.bool(len(r.Header["Origin"]) > 0)
	a.raw.request_method = C.bool(len(r.Header["Access-Control-Request-Method"]) > 0)
	for _, coding := range r.Header["Content-Encoding"] {
		if !strings.EqualFold(coding, "identity") {
			a.raw.body_encoded = true
		}
	}
	types := r.Header["Content-Type"]
	if len(types) > 1 || len(types) == 1 && !inUTF8(types[0]) {
		a.raw.body_encoded = true
	}
	if r.ContentLength > 0 {
		a.raw.content_length = C.uint64_t(r.ContentLength)
	}
}

// Of an answer of the server; behind all others.
func (a *arguments) answer(answer *answer) {
	a.raw.nonce = a.add(answer.nonce)
	a.raw.answer_status = C.int32_t(answer.status)
	a.raw.answer_repeated = C.bool(answer.repeated)
	for i, value := range answer.values {
		if value != nil {
			a.raw.answer[i] = C.int32_t(a.add(*value))
		}
	}
}
