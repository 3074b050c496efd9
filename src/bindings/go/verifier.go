package subtoken

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// The forms in which a request may carry its credential; see Options.Forms.
const (
	Bearer  = C.SUBTOKEN_EDGE_BEARER    // Authorization: Bearer
	XAPIKey = C.SUBTOKEN_EDGE_X_API_KEY // X-API-Key
	Query   = C.SUBTOKEN_EDGE_QUERY     // access_token= in the query
	Basic   = C.SUBTOKEN_EDGE_BASIC     // Authorization: Basic, which the server alone checks
	AnyForm = C.SUBTOKEN_EDGE_ANY
)

// Options say how to decide. Either Secrets or Ring is needed, and either Revocations or
// WithoutRevocations. Files are read again when they change; one that cannot be used is told to
// ErrorLog, and what was loaded stays in use.
type Options struct {
	Secrets string // path of the ring, see ReadRing
	Ring    *Ring

	Revocations        string        // path of the revocation data, as `subtoken pull` writes it
	WithoutRevocations bool          // true: tokens of deleted keys are accepted
	MaxAge             time.Duration // of the revocation data; 0: 300 s
	AllowOld           bool          // decide with data that is too old, too

	Policy     string // path of the route policy
	PolicyText *Policy
	Needs      []string // permissions that each request needs, besides those of the policy

	Leeway   time.Duration // by which clocks may differ; 0: 60 s, less than 0: none
	MaxLife  time.Duration // the longest life of a token; 0: 365 d
	Issuer   string        // "": any
	Audience string        // "": any, but those that derived secrets are for

	// The server's setting issuer: a 401 of a route with a resource then names its metadata (RFC 9728),
	// which Handler serves. "": none.
	AuthorizationServer string

	Forms     int // where credentials are looked for, added; 0: AnyForm
	CacheSize int // bytes for tokens that were seen, for each call at a time; 0: 256 KiB, less: none

	Server  string        // address of the server that is asked about whole keys, "": they are 401
	Timeout time.Duration // for its answer; 0: 3 s
	Client  *http.Client  // that asks it; nil: one that follows no redirect

	ErrorLog *log.Logger // nil: the standard logger. No line has a credential
}

// A Verifier decides about tokens and requests. Close it when it is no longer used.
type Verifier struct {
	options Options
	calls   calls
	asker   *asker

	// Calls of the library read under it; what is polled is changed under it.
	lock     sync.RWMutex
	settings *C.st_go_settings
	ring     *Ring
	policy   *Policy
	texts    []func() // free what the settings point to

	secretsFile, policyFile watched
	feedTold                Result
	ended                   chan struct{}
	polling                 sync.WaitGroup
	closing                 sync.Once
}

func seconds(d, otherwise time.Duration) C.int64_t {
	if d == 0 {
		d = otherwise
	}
	if d < 0 {
		d = 0
	}
	return C.int64_t(d / time.Second)
}

// New reads the files of the options, and starts to watch them. Revocation data that is not there
// yet, or is old, is no error: until it is fresh, requests are answered with 503.
func New(options Options) (*Verifier, error) {
	v := &Verifier{options: options, ended: make(chan struct{})}
	if v.options.ErrorLog == nil {
		v.options.ErrorLog = log.Default()
	}
	if err := v.options.check(); err != nil {
		return nil, err
	}
	if err := v.readFiles(); err != nil {
		return nil, err
	}
	if options.Server != "" {
		asker, err := newAsker(&v.options)
		if err != nil {
			return nil, err
		}
		v.asker = asker
	}
	switch {
	case options.CacheSize == 0:
		v.calls.cacheSize = 256 << 10
	case options.CacheSize > 0:
		v.calls.cacheSize = C.size_t(options.CacheSize)
	}
	v.fillSettings()
	if err := v.startFeed(); err != nil {
		v.Close()
		return nil, err
	}
	if call := v.calls.take(); call == nil {
		v.Close()
		return nil, fmt.Errorf("subtoken: CacheSize: %d bytes are too few, or too many", options.CacheSize)
	} else {
		v.calls.give(call)
	}
	if options.Secrets != "" || options.Policy != "" || options.Revocations != "" {
		v.polling.Add(1)
		go v.poll()
	}
	runtime.SetFinalizer(v, func(v *Verifier) { v.Close() })
	return v, nil
}

func (o *Options) check() error {
	switch {
	case (o.Secrets == "") == (o.Ring == nil):
		return errors.New("subtoken: Options need either Secrets or Ring")
	case (o.Revocations == "") != o.WithoutRevocations:
		return errors.New("subtoken: Options need either Revocations or WithoutRevocations")
	case o.Policy != "" && o.PolicyText != nil:
		return errors.New("subtoken: Policy and PolicyText exclude each other")
	case o.Leeway > time.Duration(C.SUBTOKEN_LEEWAY_MAX)*time.Second:
		return errors.New("subtoken: Leeway must be at most an hour")
	case len(o.Needs) > C.SUBTOKEN_PERMISSIONS_MAX:
		return errors.New("subtoken: Needs: no token has so many permissions")
	case o.AuthorizationServer != "" && (!strings.HasPrefix(o.AuthorizationServer, "https://") ||
		len(o.AuthorizationServer) > C.SUBTOKEN_ISSUER_MAX):
		return errors.New("subtoken: AuthorizationServer: must be an https URL")
	case o.Forms&^AnyForm != 0:
		return errors.New("subtoken: Forms has a bit that is none of the forms")
	}
	return nil
}

func (v *Verifier) readFiles() (err error) {
	v.ring, v.policy = v.options.Ring, v.options.PolicyText
	if v.options.Secrets != "" {
		v.secretsFile.at = stampOf(v.options.Secrets)
		if v.ring, err = ReadRing(v.options.Secrets); err != nil {
			return err
		}
	}
	if v.options.Policy != "" {
		v.policyFile.at = stampOf(v.options.Policy)
		if v.policy, err = ReadPolicy(v.options.Policy); err != nil {
			return err
		}
	}
	return nil
}

// A text that the settings keep; it is freed with them.
func (v *Verifier) text(text string) C.subtoken_text {
	if text == "" {
		return C.subtoken_text{}
	}
	data, free := cString(text)
	v.texts = append(v.texts, free)
	return C.subtoken_text{data: data, len: C.size_t(len(text))}
}

func (v *Verifier) fillSettings() {
	o := &v.options
	s := (*C.st_go_settings)(C.calloc(1, C.sizeof_st_go_settings))
	s.ring = v.ring.raw
	if v.policy != nil {
		s.policy = (*C.subtoken_policy)(v.policy.raw)
	}
	s.leeway = seconds(o.Leeway, 60*time.Second)
	s.max_life = seconds(o.MaxLife, 365*24*time.Hour)
	s.iss, s.aud = v.text(o.Issuer), v.text(o.Audience)
	s.server = v.text(o.AuthorizationServer)
	s.without_revocations = C.bool(o.WithoutRevocations)
	s.forms = C.uint(o.Forms)
	if o.Forms == 0 {
		s.forms = AnyForm
	}
	s.may_ask = C.bool(v.asker != nil)
	s.reads_bodies = true
	for i, need := range o.Needs {
		s.needs[i] = v.text(need)
	}
	s.needs_count = C.size_t(len(o.Needs))
	v.settings = s
}

func (v *Verifier) startFeed() error {
	if v.options.Revocations == "" {
		return nil
	}
	path, free := cString(v.options.Revocations)
	defer free()
	file := (*C.subtoken_feed_file)(C.calloc(1, C.sizeof_subtoken_feed_file))
	result := C.st_go_feed_start(file, path, v.settings.leeway,
		seconds(v.options.MaxAge, 300*time.Second), C.bool(v.options.AllowOld))
	if result != C.SUBTOKEN_FEED_OK {
		C.free(unsafe.Pointer(file))
		return errors.New("subtoken: Revocations: the path or MaxAge is out of range")
	}
	v.settings.feed = file
	v.tellFeed(C.st_go_feed_load(file, v.ring.raw))
	return nil
}

// Close ends the watching of the files, and wipes and frees what the verifier has. Requests that
// come later are answered with 503.
func (v *Verifier) Close() {
	v.closing.Do(func() {
		close(v.ended)
		v.polling.Wait()
		v.lock.Lock()
		defer v.lock.Unlock()
		if v.settings.feed != nil {
			C.subtoken_feed_file_stop(v.settings.feed)
			C.free(unsafe.Pointer(v.settings.feed))
		}
		C.free(unsafe.Pointer(v.settings))
		v.settings = nil
		for _, free := range v.texts {
			free()
		}
		v.ring, v.policy = nil, nil
		v.calls.close()
	})
}

// ---- files ----

// What a file was when it was last read.
type stamp struct {
	device, inode uint64
	size          int64
	mtime, ctime  syscall.Timespec
}

// The zero stamp for a file that cannot be seen.
func stampOf(path string) stamp {
	status, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	s, ok := status.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{}
	}
	return stamp{uint64(s.Dev), s.Ino, s.Size, s.Mtim, s.Ctim}
}

// A file that is read again when it has changed, and until it could be read.
type watched struct {
	at    stamp
	again bool   // the last failure was the system's: it may pass while the file stays as it is
	told  string // of the file as it is
}

// Is it to be read?
func (w *watched) due(path string) bool {
	at := stampOf(path)
	if at == w.at && !w.again {
		return false
	}
	if at != w.at {
		w.told = ""
	}
	w.at, w.again = at, false
	return true
}

// What is wrong with it, once.
func (w *watched) failed(log *log.Logger, what string, err error) {
	var number syscall.Errno
	w.again = errors.As(err, &number) || errors.Is(err, errNoMemory)
	if text := err.Error(); text != w.told {
		w.told = text
		log.Printf("subtoken: %s: %s; what is loaded stays in use", what, text)
	}
}

const (
	pollEvery  = 50 * time.Millisecond
	filesEvery = 10 // polls
)

func (v *Verifier) poll() {
	defer v.polling.Done()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-v.ended:
			return
		case <-ticker.C:
		}
		if n%filesEvery == 0 {
			v.pollRing()
			v.pollPolicy()
		}
		for v.pollFeed() {
			select {
			case <-v.ended:
				return
			default:
			}
		}
	}
}

func (v *Verifier) pollRing() {
	if v.options.Secrets == "" || !v.secretsFile.due(v.options.Secrets) {
		return
	}
	ring, err := ReadRing(v.options.Secrets)
	if err != nil {
		v.secretsFile.failed(v.options.ErrorLog, "secrets", err)
		return
	}
	v.lock.Lock()
	v.ring = ring // the finalizer wipes the one before
	v.settings.ring = ring.raw
	v.lock.Unlock()
}

func (v *Verifier) pollPolicy() {
	if v.options.Policy == "" || !v.policyFile.due(v.options.Policy) {
		return
	}
	policy, err := ReadPolicy(v.options.Policy)
	if err != nil {
		v.policyFile.failed(v.options.ErrorLog, "policy", err)
		return
	}
	v.lock.Lock()
	v.policy = policy
	v.settings.policy = (*C.subtoken_policy)(policy.raw)
	v.lock.Unlock()
}

// One step, a slice at most. True: there is more to do.
func (v *Verifier) pollFeed() bool {
	v.lock.Lock()
	defer v.lock.Unlock()
	if v.settings.feed == nil {
		return false
	}
	result := C.st_go_feed_poll(v.settings.feed, v.ring.raw)
	if result == C.SUBTOKEN_FEED_MORE {
		return true
	}
	v.tellFeed(result)
	return false
}

// Once for each kind of error, and once when it is over.
func (v *Verifier) tellFeed(result C.int) {
	if result == C.SUBTOKEN_FEED_OK {
		var age C.int64_t
		result = C.st_go_feed_check(v.settings.feed, &age)
	}
	before := v.feedTold
	v.feedTold = Result(result)
	switch {
	case before == v.feedTold || (before == 0 && result == C.SUBTOKEN_FEED_OK):
	case result == C.SUBTOKEN_FEED_OK:
		v.options.ErrorLog.Printf("subtoken: revocations %q: fresh again", v.options.Revocations)
	default:
		v.options.ErrorLog.Printf("subtoken: revocations %q: %s", v.options.Revocations,
			C.GoString(C.subtoken_feed_result_text(C.subtoken_feed_result(result))))
	}
}

// RevocationAge is how old the revocation data is, and whether it can decide. Watch it.
func (v *Verifier) RevocationAge() (age time.Duration, ok bool) {
	v.lock.RLock()
	defer v.lock.RUnlock()
	if v.settings == nil || v.settings.feed == nil {
		return 0, false
	}
	var seconds C.int64_t
	result := C.st_go_feed_check(v.settings.feed, &seconds)
	return time.Duration(seconds) * time.Second,
		result == C.SUBTOKEN_FEED_OK || result == C.SUBTOKEN_FEED_OLD_ALLOWED
}

// ---- tokens ----

// A Request is what a token came with. An empty Method or Target is absent: then a token that is
// restricted to methods or URLs is refused.
type Request struct {
	Method string
	Target string    // as on the request line, not decoded
	Needs  []string  // the permissions that it needs, besides those of the options and the policy
	Now    time.Time // zero: the clock's
}

// Verify decides about a token alone, by the policy too where the options name one. The error is a
// Result.
func (v *Verifier) Verify(token string, request Request) (*Claims, error) {
	a := newArguments()
	defer a.release()
	if !a.token(token) || !a.request(&request, len(v.options.Needs)) {
		return nil, InvalidArgument
	}
	call := v.begin()
	if call == nil {
		return nil, RevocationUnknown
	}
	defer v.end(call)
	result := Result(C.st_go_verify(v.settings, call, a.data(), &a.raw))
	if result != OK {
		return nil, result
	}
	return claimsOf(&call.claims), nil
}

// Explain says in a sentence which rule gave this result of Verify, and why. It is for those who
// run an API, not for its callers.
func (v *Verifier) Explain(token string, request Request, result Result) string {
	a := newArguments()
	defer a.release()
	if !a.token(token) || !a.request(&request, len(v.options.Needs)) {
		return ""
	}
	call := v.begin()
	if call == nil {
		return ""
	}
	defer v.end(call)
	n := C.st_go_explain(v.settings, call, a.data(), &a.raw, C.int(result))
	return C.GoStringN(&call.memory[0], C.int(n))
}

// With the lock for reading, until end. Nil: it is closed, or there is no memory.
func (v *Verifier) begin() *C.st_go_call {
	v.lock.RLock()
	if v.settings != nil {
		if call := v.calls.take(); call != nil {
			return call
		}
	}
	v.lock.RUnlock()
	return nil
}

func (v *Verifier) end(call *C.st_go_call) {
	v.calls.give(call)
	v.lock.RUnlock()
	runtime.KeepAlive(v)
}
