--[[
subtoken - verify subtokens, HS256 JWTs with permissions and a URL allowlist, from LuaJIT:
OpenResty, or Debian's nginx with libnginx-mod-http-lua.

A thin face over libsubtoken, whose headers are the manual. In nginx:

  init_by_lua_block {
    local subtoken = require "subtoken"
    verifier = subtoken.verifier {
      ring = assert(subtoken.read_ring "/etc/subtoken/secrets"),
      revoked = function(name)
        local list = ngx.shared.revoked
        local entry, err = list:get(name)
        if entry ~= nil then return true end
        if err or not list:get ":fresh" then return nil end -- feed_stale: it is not known
        return false
      end,
    }
  }
  access_by_lua_block {
    local token = (ngx.var.http_authorization or ""):match "^[Bb]earer +([^ ]+) *$"
    if not token then
      ngx.header["WWW-Authenticate"] = require "subtoken".CHALLENGE
      return ngx.exit(401)
    end
    local verdict = verifier:verify(token, {
      method = ngx.req.get_method(), target = ngx.var.request_uri, needs = { "account" },
    })
    if not verdict.ok then
      ngx.header["WWW-Authenticate"] = verdict.challenge
      return ngx.exit(verdict.status)
    end
    ngx.var.sub = verdict.claims.sub
  }

A name, which is the sub of a token, its tid or one of its via, is good when it is not in the
list, but only while the list is complete and up to date. Fill it (`lua_shared_dict revoked
1m;`, in a timer, for example) with safe_set(name, true), which drops no other entry when
memory is short; set, add and incr do. When every call has returned true, set the mark, which
is no name, for a while: safe_set(":fresh", true, 60), and again before
that time has passed. After a restart, when memory is short, or when nothing comes in any
more, the mark is missing and every token is refused.

Mistakes deny: a verifier that was not told about revocations answers feed_stale to every
good token, and so does a `revoked` that raises an error or returns anything but true, false and
nil. An unknown name, a list with a hole and a value that is no string are errors. But a
table is always true in Lua: test verdict.ok, never the verdict itself. And { nil } is { },
which cannot be told apart: needs = { config.misspelt } needs nothing.

Tables that are passed in must have no metatable: unknown names behind one could not be found.

`target` is the request target as it stood on the request line, undecoded, with its query.
Strings are bytes. An object serves one Lua state, as all of Lua does; in it any number of
coroutines and finalizers may use it, and `revoked` may yield.
]]

local bit = require "bit"
local ffi = require "ffi"

local M = {
  _VERSION = "0.3.0", -- of the library whose structs are mirrored here, or a later patch of it
  CHALLENGE = "Bearer", -- the WWW-Authenticate for a request without any credential
}

local SONAME = "libsubtoken.so.0.3"

-- A second copy of this file in one Lua state finds them declared.
if not pcall(ffi.typeof, "struct subtoken_verifier") then
  ffi.cdef [[
typedef struct subtoken_text {
  const char *data;
  size_t len;
} subtoken_text;
typedef struct subtoken_slice {
  uint16_t at;
  uint16_t len;
} subtoken_slice;
typedef struct subtoken_claims {
  int64_t iat;
  int64_t exp;
  int64_t nbf;
  bool every_url;
  bool aud_named;
  bool aud_derived;
  uint16_t permission_count;
  uint16_t url_count;
  uint16_t text_len;
  uint16_t via_count;
  subtoken_slice sub;
  subtoken_slice tid;
  subtoken_slice aud;
  subtoken_slice iss;
  subtoken_slice sid;
  subtoken_slice permissions[64];
  subtoken_slice urls[64];
  subtoken_slice via[8];
  char text[6144];
} subtoken_claims;
typedef struct subtoken_secret {
  uint32_t inner[8];
  uint32_t outer[8];
  uint32_t derive_inner[8];
  uint32_t derive_outer[8];
  uint8_t cpu;
  uint8_t kid_len;
  uint8_t header_len;
  uint8_t audience_len;
  char kid[64];
  char header[136];
} subtoken_secret;
typedef struct subtoken_ring {
  size_t count;
  subtoken_secret secrets[16];
} subtoken_ring;
typedef struct subtoken_verifier {
  size_t size;
  const subtoken_ring *ring;
  int64_t leeway;
  int64_t max_life;
  subtoken_text iss;
  subtoken_text aud;
  void *revoked; /* a function; never set here, see decide */
  void *revoked_context;
  bool without_revocations;
  void *cache; /* never set here */
  bool any_audience; /* never set here: it is for an issuer */
} subtoken_verifier;
typedef struct subtoken_request {
  size_t size;
  int64_t now;
  subtoken_text method;
  subtoken_text target;
  const subtoken_text *needs;
  size_t needs_count;
} subtoken_request;

int subtoken_ring_read(subtoken_ring *, subtoken_text, size_t *);
const char *subtoken_ring_error(subtoken_text, size_t, int);
int subtoken_verify(const subtoken_verifier *, subtoken_text, const subtoken_request *,
                    subtoken_claims *);
int subtoken_inspect(subtoken_text, char *, size_t, subtoken_claims *);
size_t subtoken_explain(const subtoken_verifier *, subtoken_text, const subtoken_request *, int,
                        char *, size_t);
int subtoken_target_path(subtoken_text, char *, size_t, size_t *, int *);
int subtoken_url_canonical(subtoken_text, char *, size_t, size_t *, int *);
int subtoken_url_allows(subtoken_text, subtoken_text, subtoken_text);
int subtoken_url_covers(subtoken_text, subtoken_text);
int subtoken_url_match(const subtoken_claims *, subtoken_text, subtoken_text);
int subtoken_secret_set(subtoken_secret *, subtoken_text, const char *, size_t);
int subtoken_mac_compute(const subtoken_secret *, const char *, size_t, uint8_t *);
int subtoken_mac_check(const subtoken_secret *, const char *, size_t, const char *);
subtoken_text subtoken_claims_audience(const subtoken_claims *, size_t *);
const char *subtoken_result_name(int);
int subtoken_result_status(int);
const char *subtoken_result_challenge(int);
const char *subtoken_fault_name(int);
const char *subtoken_version(void);
void subtoken_wipe(void *, size_t);

/* Of the C library, by names of our own: others may have declared theirs. */
typedef struct subtoken_statx { /* statx(2), which is the same everywhere */
  uint32_t mask;
  uint32_t not_used[6];
  uint16_t mode;
  uint16_t not_used_either[113];
} subtoken_statx;
int subtoken_posix_open(const char *, int) __asm__("open");
long subtoken_posix_read(int, void *, size_t) __asm__("read");
int subtoken_posix_close(int) __asm__("close");
long subtoken_posix_syscall(long, long, const char *, long, unsigned long, subtoken_statx *)
  __asm__("syscall");
const char *subtoken_posix_strerror(int) __asm__("strerror");
]]
end

local TIME_MAX = 9007199254740991
local URLS_MAX = 64
local TEXT_MAX = 6144 -- claims.text
local MAC_LEN = 32
local OUT_SIZE = 12289 -- 3 * SUBTOKEN_PATH_MAX + 1, the most that any function writes
local RING_FILE_MAX = 65536

-- ---- the library ----

local C -- loaded by the first use
local loaded_from
local results = {} -- code -> { name, status, challenge }
local codes = {} -- name -> code
local after_revoked -- codes of rules that stand behind that of revocation

-- Is it this version, or a later patch of it, which only adds (libsubtoken(3))?
local function is_for(version)
  local own, patch = M._VERSION:match "^(%d+%.%d+%.)(%d+)$"
  local its, its_patch = version:match "^(%d+%.%d+%.)(%d+)$"
  return its == own and tonumber(its_patch) >= tonumber(patch)
end

local function open(path)
  local found, library = pcall(ffi.load, path)
  if not found then return nil, library end
  local is_ours, version = pcall(function() return ffi.string(library.subtoken_version()) end)
  if not is_ours then error("subtoken: " .. path .. " is not libsubtoken", 0) end
  if not is_for(version) then
    error("subtoken: " .. path .. " is libsubtoken " .. version .. ", and subtoken.lua is for "
      .. M._VERSION .. ": take both from one installation", 0)
  end
  return library
end

local function candidates()
  local named = os.getenv "SUBTOKEN_LIBRARY" -- in nginx only with `env SUBTOKEN_LIBRARY;`
  if named and named ~= "" then return { named } end
  -- PREFIX/share/lua/5.1/subtoken.lua and PREFIX/lib/libsubtoken.so.0.3. From anywhere else,
  -- and from a path that depends on the working directory, nothing is concluded.
  local prefix = debug.getinfo(1, "S").source:match "^@(/.*)share/lua/5%.1/[^/]+$"
  if prefix and prefix:sub(-1) == "/" then
    return { prefix .. "lib/" .. SONAME, SONAME }
  end
  return { SONAME }
end

local function use(library, path)
  local code = 0
  while true do
    local name = ffi.string(library.subtoken_result_name(code))
    if name == "unknown" then break end
    local challenge = library.subtoken_result_challenge(code)
    results[code] = {
      name = name,
      status = library.subtoken_result_status(code),
      challenge = challenge ~= nil and ffi.string(challenge) or nil,
    }
    codes[name] = code
    code = code + 1
  end
  after_revoked = { [codes.bad_target] = true, [codes.url] = true, [codes.perm] = true }
  C, loaded_from = library, path
end

-- load(path): load libsubtoken from path, else from $SUBTOKEN_LIBRARY, else from the
-- PREFIX under whose share/lua/5.1 this file lies, else where the system finds it. The first
-- call of any function does it. An error when there is none, or none of this version.
function M.load(path)
  if C then
    if path and path ~= loaded_from then error("subtoken: " .. loaded_from .. " is loaded", 2) end
    return
  end
  local tried = {}
  for _, candidate in ipairs(path and { path } or candidates()) do
    local library, err = open(candidate)
    if library then return use(library, candidate) end
    tried[#tried + 1] = err
  end
  error("subtoken: cannot load libsubtoken: " .. table.concat(tried, "; "), 0)
end

-- ---- buffers ----

-- The memory that one call of C reads and writes. The caller has it alone until it has copied the
-- result: a finalizer (`__gc`) may run between any two lines here and call this module again; then it
-- finds none spare and makes another. No buffers are held while `revoked` runs. Pointers into strings
-- are only in here while the strings are, too: the collector must not free them, and compiled code may
-- drop an argument. Buffers that an error leaves are collected.
local spare

local function acquire()
  local buffers = spare
  spare = nil -- nothing that allocates, and so no finalizer, comes between these two
  return buffers or {
    claims = ffi.new "subtoken_claims",
    request = ffi.new("subtoken_request", { size = ffi.sizeof "subtoken_request" }),
    needs = ffi.new("subtoken_text[?]", 8),
    needs_size = 8,
    a = ffi.new "subtoken_text",
    b = ffi.new "subtoken_text",
    c = ffi.new "subtoken_text",
    out = ffi.new("char[?]", OUT_SIZE),
    out_len = ffi.new "size_t[1]",
    out_fault = ffi.new "int[1]",
  }
end

local function release(buffers)
  buffers.text_a, buffers.text_b, buffers.text_c, buffers.list = nil, nil, nil, nil
  spare = buffers
end

local function is_text(value, what, level)
  if value ~= nil and type(value) ~= "string" then
    error("subtoken: " .. what .. " must be a string", level + 1)
  end
end

-- value is nil or a string, which is in the buffers.
local function set(text, value)
  if value == nil then
    text.data, text.len = nil, 0
  else
    text.data, text.len = value, #value
  end
end

-- An error unless every name in the table is one of these.
local function check_names(value, names, what, level)
  if type(value) ~= "table" or getmetatable(value) ~= nil then
    error("subtoken: " .. what .. " must be a table without a metatable", level + 1)
  end
  for name in pairs(value) do
    if not names[name] then
      error("subtoken: " .. what .. " has no member " .. tostring(name), level + 1)
    end
  end
end

-- How many strings are in the list: as many as it has keys, when none of 1 to n is missing.
local function count(list, what, level)
  if type(list) ~= "table" or getmetatable(list) ~= nil then
    error("subtoken: " .. what .. " must be a list of strings, without a metatable", level + 1)
  end
  local n = 0
  for _ in pairs(list) do n = n + 1 end
  for i = 1, n do
    if type(list[i]) ~= "string" then
      error("subtoken: " .. what .. " must be a list of strings, from 1 and without holes", level + 1)
    end
  end
  return n
end

local function cut(claims, slice)
  return ffi.string(claims.text + slice.at, slice.len)
end

local function listed(claims, slices, n)
  local values = {}
  for i = 1, n do values[i] = cut(claims, slices[i - 1]) end
  return values
end

local function read_audiences(claims)
  local at, found = ffi.new "size_t[1]", {}
  while true do
    local one = C.subtoken_claims_audience(claims, at)
    if one.data == nil then return found end
    found[#found + 1] = ffi.string(one.data, one.len)
  end
end

-- What may be revoked of a token: the sub, the tid and each of via.
local function read_names(claims)
  local names = listed(claims, claims.via, claims.via_count)
  if claims.tid.len > 0 then table.insert(names, 1, cut(claims, claims.tid)) end
  table.insert(names, 1, cut(claims, claims.sub))
  return names
end

-- claims: sub, iat, exp, nbf and iss (nil when absent), sid (the login that the token was
-- made in; nil when in none), aud (a list; nil when for none), permissions, tid (the id of the
-- token), via (those of the tokens that it was made from, the oldest first; nil for none), and
-- either urls or every_url = true. That urls are missing opens nothing.
local function read_claims(claims)
  local nbf, iss = tonumber(claims.nbf), cut(claims, claims.iss)
  local sid = cut(claims, claims.sid)
  return {
    sub = cut(claims, claims.sub),
    iat = tonumber(claims.iat),
    exp = tonumber(claims.exp),
    nbf = nbf ~= 0 and nbf or nil,
    iss = iss ~= "" and iss or nil,
    sid = sid ~= "" and sid or nil,
    aud = claims.aud.len > 0 and read_audiences(claims) or nil,
    tid = claims.tid.len > 0 and cut(claims, claims.tid) or nil,
    via = claims.via_count > 0 and listed(claims, claims.via, claims.via_count) or nil,
    permissions = listed(claims, claims.permissions, claims.permission_count),
    every_url = claims.every_url,
    urls = not claims.every_url and listed(claims, claims.urls, claims.url_count) or nil,
  }
end

-- ---- rings and secrets ----

local function wipe(memory)
  C.subtoken_wipe(memory, ffi.sizeof(memory))
end

local function named(name)
  return { __tostring = function() return "subtoken." .. name end, __metatable = name }
end

local Ring = named "ring"

local function ring_of(buffers)
  local raw = ffi.gc(ffi.new "subtoken_ring", wipe)
  local code = C.subtoken_ring_read(raw, buffers.a, buffers.out_len)
  local line = tonumber(buffers.out_len[0])
  local message = ffi.string(C.subtoken_ring_error(buffers.a, line, code))
  release(buffers)
  if code ~= codes.ok then return nil, results[code].name, line, message end
  return setmetatable({ raw = raw }, Ring)
end

-- ring(text): the signing secrets, from the content of a secrets file; or nil, the name of
-- what is wrong, the number of the line, and text that says it. Wiped when it is collected;
-- Lua cannot wipe the text.
function M.ring(text)
  M.load()
  if type(text) ~= "string" then error("subtoken: the text of a ring must be a string", 2) end
  local buffers = acquire()
  buffers.text_a = text
  set(buffers.a, text)
  return ring_of(buffers)
end

local STATX = ({ x64 = 332, x86 = 383, arm64 = 291 })[ffi.arch] -- the number of the call
local AT_EMPTY_PATH, TYPE_AND_MODE = 0x1000, 3
local READ_NONBLOCK_CLOEXEC = 0x80800
local EINTR = 4

local function errno()
  return ffi.string(ffi.C.subtoken_posix_strerror(ffi.errno()))
end

-- Why no secrets are taken from this file, which is open: its mode and not that of its name.
local function refusal(fd)
  local status = ffi.new "subtoken_statx"
  if ffi.C.subtoken_posix_syscall(STATX, fd, "", AT_EMPTY_PATH, TYPE_AND_MODE, status) ~= 0 then
    return errno() .. ": cannot see who may read it"
  end
  local mode = status.mode
  if bit.band(status.mask, TYPE_AND_MODE) ~= TYPE_AND_MODE then
    return "cannot see who may read it"
  end
  if bit.band(mode, 0xF000) ~= 0x8000 then return "is not a regular file" end
  if bit.band(mode, 23) ~= 0 then -- 027: the group may read it
    return ("is open to others (mode %04o): chmod 600 it, or 640 for its group"):format(
      bit.band(mode, 4095))
  end
end

-- The number of bytes; or nil and an error.
local function read_all(fd, memory)
  local size = 0
  while size < RING_FILE_MAX do
    local more = tonumber(ffi.C.subtoken_posix_read(fd, memory + size, RING_FILE_MAX - size))
    if more == 0 then return size end
    if more > 0 then
      size = size + more
    elseif ffi.errno() ~= EINTR then
      return nil, errno()
    end
  end
  return nil, "too_large"
end

-- read_ring(path): the same from a file, and nothing of it is left behind; or nil and a
-- message that names it. The file is a regular one, its owner's alone to write, and nobody
-- but its group may read it, too; of a link the target is checked.
function M.read_ring(path)
  M.load()
  if type(path) ~= "string" or path:find("\0", 1, true) then
    error("subtoken: a path must be a string without NUL", 2)
  end
  if ffi.os ~= "Linux" or not STATX then
    return nil, path .. ": cannot see on this system who may read the file: make sure, read it,"
      .. " and pass its text to subtoken.ring"
  end
  -- To open a FIFO would wait for a writer.
  local fd = ffi.C.subtoken_posix_open(path, READ_NONBLOCK_CLOEXEC)
  if fd < 0 then return nil, path .. ": " .. errno() end
  local memory = ffi.new("char[?]", RING_FILE_MAX)
  local size
  local err = refusal(fd)
  if not err then size, err = read_all(fd, memory) end
  ffi.C.subtoken_posix_close(fd)
  local ring, line
  if size then
    local buffers = acquire()
    buffers.text_a = memory
    buffers.a.data, buffers.a.len = memory, size
    ring, err, line = ring_of(buffers)
  end
  wipe(memory)
  if ring then return ring end
  return nil, path .. ":" .. (line and line > 0 and line .. ": " or " ") .. err
end

local Secret = named "secret"

-- secret(bytes): one secret of 32 to 64 bytes, set up to make MACs; or nil and a name.
function M.secret(bytes)
  M.load()
  if type(bytes) ~= "string" then error("subtoken: a secret must be a string", 2) end
  local raw = ffi.gc(ffi.new "subtoken_secret", wipe)
  local code = C.subtoken_secret_set(raw, ffi.new "subtoken_text", bytes, #bytes)
  if code ~= codes.ok then return nil, results[code].name end
  return setmetatable({ raw = raw }, Secret)
end

local function secret_of(secret)
  if getmetatable(secret) == "secret" then return secret end
  return M.secret(secret)
end

-- mac(secret, data): HMAC-SHA-256 of data as 32 bytes; or nil and a name. secret is one
-- that secret() made, or its bytes.
function M.mac(secret, data)
  local by, err = secret_of(secret)
  if not by then return nil, err end
  if type(data) ~= "string" then error("subtoken: data must be a string", 2) end
  local out = ffi.new "uint8_t[32]"
  local code = C.subtoken_mac_compute(by.raw, data, #data, out)
  if code ~= codes.ok then return nil, results[code].name end
  return ffi.string(out, MAC_LEN)
end

-- mac_check(secret, data, mac): is this the MAC of data? In a time that does not depend on
-- where they differ.
function M.mac_check(secret, data, mac)
  local by, err = secret_of(secret)
  if not by then return false, err end
  if type(data) ~= "string" then error("subtoken: data must be a string", 2) end
  if type(mac) ~= "string" or #mac ~= MAC_LEN then return false, "mac" end
  local code = C.subtoken_mac_check(by.raw, data, #data, mac)
  return code == codes.ok, results[code].name
end

-- ---- verifying ----

local function seconds(value, otherwise, what)
  if value == nil then return otherwise end
  if type(value) ~= "number" or value ~= math.floor(value) or value < 0 or value > TIME_MAX then
    error("subtoken: " .. what .. " must be whole seconds, 0 to 2^53-1", 3)
  end
  return value
end

local function clock()
  return ngx and ngx.time and ngx.time() or os.time()
end

local request_names = { now = true, method = true, target = true, needs = true }

-- The code of the rule that decided, as if nothing were revoked. The buffers have the claims and the
-- arguments. level is that of the caller, for errors.
local function call(self, buffers, token, asked, level)
  if getmetatable(self) ~= "verifier" then error("subtoken: call it as verifier:verify", level) end
  check_names(asked, request_names, "the request", level)
  local now, method, target, needs = asked.now, asked.method, asked.target, asked.needs
  is_text(token, "a token", level)
  is_text(method, "method", level)
  is_text(target, "target", level)
  if now == nil then now = clock() end
  -- What does not fit an int64_t must not be cut to one that does.
  if type(now) ~= "number" or now ~= math.floor(now) or now < 0 or now > TIME_MAX then now = -1 end
  local wanted = needs ~= nil and count(needs, "needs", level) or 0
  if wanted > buffers.needs_size then
    buffers.needs, buffers.needs_size = ffi.new("subtoken_text[?]", wanted), wanted
  end
  local request = buffers.request
  buffers.text_a, buffers.text_b, buffers.text_c, buffers.list = token, method, target, needs
  for i = 1, wanted do set(buffers.needs[i - 1], needs[i]) end
  set(buffers.a, token)
  set(request.method, method)
  set(request.target, target)
  request.now, request.needs, request.needs_count = now, buffers.needs, wanted
  return C.subtoken_verify(self.raw, buffers.a, request, buffers.claims)
end

-- code, when all names are known to be good.
local function check_revoked(self, names, code)
  for _, name in ipairs(names) do
    local ran, revoked = pcall(self.revoked, name)
    if not ran then return codes.feed_stale, revoked end
    if revoked == true then return codes.revoked end
    if revoked == nil then return codes.feed_stale end
    if revoked ~= false then
      return codes.feed_stale, "revoked must return true, false or nil, not a " .. type(revoked)
    end
  end
  return code
end

-- `revoked` is called from here and not by the library: a callback out of C is slow, cannot
-- be called from compiled code, cannot yield and cannot let an error pass. The answer is
-- the library's own. Told without_revocations it applies its rules in the same order.
-- Refused by one that is before revocation, the function would not have been called. Refused by
-- one that stands behind it, revocation would have been the answer, if revoked: so the names
-- are read again (the claims are not given out with a refusal), which is reading the same
-- bytes, by now authenticated, in the same way. It may yield to another request, so the buffers
-- are released before it is called.
local function decide(self, token, asked)
  local buffers = acquire()
  local code = call(self, buffers, token, asked, 4)
  local claims, got, names, err = buffers.claims, nil, nil, nil
  if code == codes.ok then
    got, names = read_claims(claims), read_names(claims)
  elseif self.revoked and after_revoked[code] then
    if C.subtoken_inspect(buffers.a, buffers.out, OUT_SIZE, claims) == codes.ok then
      names = read_names(claims)
    else
      code = codes.feed_stale
    end
  end
  release(buffers)
  if names and self.revoked then code, err = check_revoked(self, names, code) end
  return code, code == codes.ok and got or nil, err
end

local Verifier = named "verifier"
local methods = {}
Verifier.__index = methods

-- verifier { ring =, leeway = 60 (3600 at most), max_life = 365 days, iss =, aud =, and either
--   revoked = function(name): true when it is revoked, false when it is known to be good,
--     nil when that cannot be known (feed_stale, as is any other answer and an error). It is
--     called with the sub, then with the tid and each of via, until one is not false; a tid has
--     16 characters, a sub of the server 43,
--   or without_revocations = true: tokens of deleted keys are accepted }
-- iss and aud are the issuer and the audience that a token must name. With a ring of derived
-- secrets aud may be left out: it takes tokens for its own audience alone.
local verifier_names = {
  ring = true, leeway = true, max_life = true, iss = true, aud = true, revoked = true,
  without_revocations = true,
}

function M.verifier(options)
  check_names(options, verifier_names, "a verifier", 2)
  if getmetatable(options.ring) ~= "ring" then error("subtoken: a verifier needs a ring", 2) end
  local revoked, without = options.revoked, options.without_revocations
  if revoked ~= nil and type(revoked) ~= "function" then
    error("subtoken: revoked must be a function", 2)
  end
  if revoked ~= nil and without then
    error("subtoken: revoked and without_revocations exclude each other", 2)
  end
  local iss, aud = options.iss, options.aud
  is_text(iss, "iss", 2)
  is_text(aud, "aud", 2)
  if iss == "" or aud == "" then error("subtoken: iss and aud must not be empty", 2) end
  local raw = ffi.new("subtoken_verifier", { size = ffi.sizeof "subtoken_verifier" })
  raw.ring = options.ring.raw
  raw.leeway = seconds(options.leeway, 60, "leeway")
  if raw.leeway > 3600 then error("subtoken: leeway must be at most 3600 seconds", 2) end
  raw.max_life = seconds(options.max_life, 365 * 86400, "max_life")
  set(raw.iss, iss)
  set(raw.aud, aud)
  raw.without_revocations = revoked ~= nil or without == true
  return setmetatable({
    raw = raw,
    revoked = revoked,
    held = { options.ring, iss, aud }, -- raw points to them
  }, Verifier)
end

-- verifier:verify(token, { now =, method =, target =, needs = { ... } }): a verdict with
--   ok, a boolean;  result, the name of the rule that decided, "expired";
--   status, that of HTTP;  challenge, the value of WWW-Authenticate, or nil;
--   claims, only when ok;  error, what `revoked` raised or did wrong.
-- now is seconds since 1970, else the clock's. Without a target a token that is restricted
-- to urls is refused. needs are the permissions of which every one is needed. There is always
-- a table, { } for the token alone.
function methods:verify(token, asked)
  local code, got, err = decide(self, token, asked)
  local result = results[code]
  return {
    ok = code == codes.ok,
    result = result.name,
    status = result.status,
    challenge = result.challenge,
    claims = got,
    error = err,
  }
end

-- verifier:explain(token, asked, verdict): which rule decided, in words, for people who run
-- an API, never for its callers. Without the verdict it verifies first.
function methods:explain(token, asked, verdict)
  local code
  if verdict == nil then
    code = decide(self, token, asked)
  else
    code = type(verdict) == "table" and codes[verdict.result]
    if not code then error("subtoken: a verdict must be one that verify returned", 2) end
  end
  local buffers = acquire()
  call(self, buffers, token, asked, 3) -- fills the buffers again; its result is not used
  local size = C.subtoken_explain(self.raw, buffers.a, buffers.request, code, buffers.out, OUT_SIZE)
  local text = ffi.string(buffers.out, size)
  release(buffers)
  return text
end

-- inspect(token): { header =, claims = } without trusting it: no signature, no clock, for
-- display only. Or nil and a name.
function M.inspect(token)
  M.load()
  is_text(token, "a token", 2)
  local buffers = acquire()
  buffers.text_a = token
  set(buffers.a, token)
  local code = C.subtoken_inspect(buffers.a, buffers.out, OUT_SIZE, buffers.claims)
  local seen = code == codes.ok
    and { header = ffi.string(buffers.out), claims = read_claims(buffers.claims) } or nil
  release(buffers)
  if not seen then return nil, results[code].name end
  return seen
end

-- ---- URLs ----

local function canonical(name, value)
  M.load()
  is_text(value, "a URL", 2)
  local buffers = acquire()
  buffers.text_a = value
  set(buffers.a, value)
  local code = C[name](buffers.a, buffers.out, OUT_SIZE, buffers.out_len, buffers.out_fault)
  local text = code == codes.ok and ffi.string(buffers.out, buffers.out_len[0]) or nil
  local fault = buffers.out_fault[0]
  release(buffers)
  if not text then return nil, ffi.string(C.subtoken_fault_name(fault)) end
  return text
end

-- target_path(target): its canonical path, to route on; or nil and a fault, "dot-segment".
function M.target_path(target)
  return canonical("subtoken_target_path", target)
end

-- url_canonical(entry): its canonical text; or nil and a fault.
function M.url_canonical(entry)
  return canonical("subtoken_url_canonical", entry)
end

local function three(a, b, c)
  local buffers = acquire()
  buffers.text_a, buffers.text_b, buffers.text_c = a, b, c
  set(buffers.a, a)
  set(buffers.b, b)
  set(buffers.c, c)
  return buffers
end

local function said(buffers, code)
  release(buffers)
  return code == codes.ok, results[code].name
end

-- Each: true or false, and the name of the result.

-- url_allows(entry, target, method): does this entry allow them?
function M.url_allows(entry, target, method)
  M.load()
  is_text(entry, "an entry", 2)
  is_text(target, "target", 2)
  is_text(method, "method", 2)
  local buffers = three(entry, method, target)
  return said(buffers, C.subtoken_url_allows(buffers.a, buffers.b, buffers.c))
end

-- url_covers(outer, inner): does outer allow all that inner allows?
function M.url_covers(outer, inner)
  M.load()
  is_text(outer, "an entry", 2)
  is_text(inner, "an entry", 2)
  local buffers = three(outer, inner)
  return said(buffers, C.subtoken_url_covers(buffers.a, buffers.b))
end

local claim_names = {
  sub = true, iat = true, exp = true, nbf = true, iss = true, sid = true, aud = true, tid = true,
  via = true, permissions = true, every_url = true, urls = true,
}

-- url_match(claims, target, method): would these claims allow them? Of the claims only
-- every_url and urls count, and only one of the two may be there.
function M.url_match(of, target, method)
  M.load()
  check_names(of, claim_names, "claims", 2)
  is_text(target, "target", 2)
  is_text(method, "method", 2)
  local every, urls = of.every_url, of.urls
  if every ~= nil and type(every) ~= "boolean" then
    error("subtoken: every_url must be true or false", 2)
  end
  if every and urls ~= nil then error("subtoken: every_url and urls exclude each other", 2) end
  if urls == nil then urls = {} end
  local n = count(urls, "urls", 2)
  local whole = table.concat(urls, "", 1, n)
  if n > URLS_MAX or #whole > TEXT_MAX then return false, "invalid_argument" end
  local buffers = three(nil, method, target)
  local claims = buffers.claims
  ffi.fill(claims, ffi.sizeof(claims))
  claims.every_url = every == true
  local at = 0
  for i = 1, n do
    claims.urls[i - 1].at, claims.urls[i - 1].len = at, #urls[i]
    at = at + #urls[i]
  end
  ffi.copy(claims.text, whole, #whole)
  claims.url_count, claims.text_len = n, #whole
  return said(buffers, C.subtoken_url_match(claims, buffers.b, buffers.c))
end

return M
