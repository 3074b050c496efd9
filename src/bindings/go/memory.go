package subtoken

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"
)

var errNoMemory = errors.New("subtoken: no memory")

// C memory with a copy of a text, and what wipes and frees it. It is never nil.
func cString(text string) (*C.char, func()) {
	data := C.malloc(C.size_t(len(text) + 1)) // never nil: Go's malloc ends the program instead
	bytes := unsafe.Slice((*byte)(data), len(text)+1)
	copy(bytes, text)
	bytes[len(text)] = 0
	return (*C.char)(data), func() {
		C.subtoken_wipe(data, C.size_t(len(text)+1))
		C.free(data)
	}
}

// A Ring is the signing secrets. Whoever holds it can make tokens.
type Ring struct {
	raw *C.subtoken_ring
}

// ParseRing reads a ring from the text of a secrets file, one `kid:base64url` a line. The text is
// the caller's to wipe.
func ParseRing(text []byte) (*Ring, error) {
	if len(text) == 0 {
		text = []byte{'\n'}
	}
	var line C.size_t
	var fault *C.char
	raw := (*C.subtoken_ring)(C.calloc(1, C.sizeof_subtoken_ring))
	result := C.st_go_ring_read(raw, (*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text)), &line, &fault)
	if Result(result) != OK {
		C.free(unsafe.Pointer(raw))
		where := ""
		if line > 0 {
			where = "line " + strconv.Itoa(int(line)) + " "
		}
		return nil, errors.New("subtoken: ring: " + where + C.GoString(fault))
	}
	ring := &Ring{raw}
	runtime.SetFinalizer(ring, (*Ring).wipe)
	return ring, nil
}

const ringFileMax = 8192

// ReadRing reads a ring from a file. It must be a regular file that others than its owner and its
// group cannot read, and that its owner alone may write.
func ReadRing(path string) (*Ring, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	ring, err := ParseRing(text)
	for i := range text {
		text[i] = 0
	}
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return ring, nil
}

func readPrivate(path string) ([]byte, error) {
	// To open a FIFO would wait for a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	status, err := file.Stat()
	if err != nil {
		return nil, err
	}
	refuse := func(why string) ([]byte, error) {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New(why)}
	}
	if !status.Mode().IsRegular() {
		return refuse("is not a regular file")
	}
	if status.Mode().Perm()&0o027 != 0 {
		return refuse("is open to others: chmod 600 it, or 640 for its group")
	}
	if status.Size() > ringFileMax {
		return refuse("is longer than " + strconv.Itoa(ringFileMax) + " bytes")
	}
	text := make([]byte, ringFileMax)
	n := 0
	for n < len(text) {
		got, err := file.Read(text[n:])
		n += got
		if err == io.EOF {
			break
		}
		if err != nil { // a part of a ring would lack secrets
			for i := range text {
				text[i] = 0
			}
			return nil, err
		}
	}
	return text[:n], nil
}

// Audience is what the secrets are derived for, "" for a plain ring. An edge with such a ring takes
// the tokens for that audience, and no others.
func (r *Ring) Audience() string {
	defer runtime.KeepAlive(r) // its finalizer frees what is read here
	audience := C.subtoken_ring_audience(r.raw)
	if audience.data == nil {
		return ""
	}
	return goText(audience)
}

func (r *Ring) wipe() {
	if r.raw == nil {
		return
	}
	C.subtoken_wipe(unsafe.Pointer(r.raw), C.sizeof_subtoken_ring)
	C.free(unsafe.Pointer(r.raw))
	r.raw = nil
}

// A Policy says which permissions a path needs.
type Policy struct {
	raw unsafe.Pointer
}

// ParsePolicy reads the text of a policy, which is JSON. The error says what is wrong, and where.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) == 0 {
		text = []byte{' '}
	}
	var memory unsafe.Pointer
	var fault C.subtoken_policy_error
	result := C.st_go_policy_read((*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text)), &memory, &fault)
	if result == C.SUBTOKEN_BUFFER_TOO_SMALL {
		return nil, errNoMemory
	}
	if Result(result) != OK {
		where := ""
		if fault.line > 0 {
			where = "line " + strconv.Itoa(int(fault.line)) + " column " + strconv.Itoa(int(fault.column)) + ": "
		}
		what := C.GoString(&fault.text[0])
		if what == "" {
			what = Result(result).String()
		}
		return nil, errors.New("subtoken: policy: " + where + what)
	}
	policy := &Policy{memory}
	runtime.SetFinalizer(policy, func(p *Policy) { C.free(p.raw) })
	return policy, nil
}

// ReadPolicy reads a policy from a file.
func ReadPolicy(path string) (*Policy, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	policy, err := ParsePolicy(text)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return policy, nil
}

// The memory of calls. The last one that was given back is used first, so that few caches are kept
// warm, as many as there are calls at the same time.
type calls struct {
	lock      sync.Mutex
	free      []*C.st_go_call
	cacheSize C.size_t
	closed    bool
}

func (c *calls) take() *C.st_go_call {
	c.lock.Lock()
	if n := len(c.free); n > 0 {
		call := c.free[n-1]
		c.free = c.free[:n-1]
		c.lock.Unlock()
		return call
	}
	c.lock.Unlock()
	return C.st_go_call_new(c.cacheSize)
}

// One for each processor is kept.
func (c *calls) give(call *C.st_go_call) {
	c.lock.Lock()
	keep := !c.closed && len(c.free) < 2*runtime.GOMAXPROCS(0)
	if keep {
		c.free = append(c.free, call)
	}
	c.lock.Unlock()
	if !keep {
		C.st_go_call_free(call)
	}
}

func (c *calls) close() {
	c.lock.Lock()
	c.closed = true
	for _, call := range c.free {
		C.st_go_call_free(call)
	}
	c.free = nil
	c.lock.Unlock()
}
