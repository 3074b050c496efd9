--[[
subtoken - verify subtokens, HS256 JWTs with permissions and a URL allowlist, from LuaJIT:
OpenResty, or Debian's nginx with libnginx-mod-http-lua.

A thin face over libsubtoken, whose headers are the manual. In nginx:

  init_by_lua_block {
    local subtoken = require "subtoken"
    verifier = subtoken.verifier {
      ring = assert(subtoken.read_ring "/etc/subtoken/secrets"),
      revoked = function(sub)
        return ngx.shared.revoked:get(sub) ~= nil
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

Mistakes deny: a verifier that was not told about revocations answers feed_stale to every
good token, and so does a `revoked` that raises an error or gives an answer of no meaning.
But a table is always true in Lua: ask verdict.ok, never the verdict itself.

`target` is the request target as it stood on the request line, undecoded, with its query.
Strings are bytes. An object serves one Lua state, as all of Lua does; in it any number of
coroutines may use it, and `revoked` may yield.
]]

local ffi = require "ffi"

local M = {
  _VERSION = "0.1.0", -- of the library whose structs are mirrored here: it must be the same
  CHALLENGE = "Bearer", -- the WWW-Authenticate for a request without any credential
}

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
  uint16_t permission_count;
  uint16_t url_count;
  uint16_t text_len;
  subtoken_slice sub;
  subtoken_slice iss;
  subtoken_slice permissions[64];
  subtoken_slice urls[64];
  char text[6144];
} subtoken_claims;
typedef struct subtoken_secret {
  uint32_t inner[8];
  uint32_t outer[8];
  uint8_t cpu;
  uint8_t kid_len;
  uint8_t header_len;
  char kid[64];
  char header[136];
} subtoken_secret;
typedef struct subtoken_ring {
  size_t count;
  subtoken_secret secrets[16];
} subtoken_ring;
typedef struct subtoken_verifier {
  const subtoken_ring *ring;
  int64_t leeway;
  int64_t max_life;
  subtoken_text iss;
  subtoken_text aud;
  void *revoked; /* a function; never set here, see decide */
  void *revoked_context;
  bool without_revocations;
} subtoken_verifier;
typedef struct subtoken_request {
  int64_t now;
  subtoken_text method;
  subtoken_text target;
  const subtoken_text *needs;
  size_t needs_count;
} subtoken_request;

int subtoken_ring_read(subtoken_ring *, subtoken_text, size_t *);
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
const char *subtoken_result_name(int);
int subtoken_result_status(int);
const char *subtoken_result_challenge(int);
const char *subtoken_fault_name(int);
const char *subtoken_version(void);
void subtoken_wipe(void *, size_t);
]]
end

local TIME_MAX = 9007199254740991
local URLS_MAX = 64
local TEXT_MAX = 6144 -- claims.text
local MAC_LEN = 32
local OUT_SIZE = 12289 -- 3 * SUBTOKEN_PATH_MAX + 1, the most that any function writes

-- ---- the library ----

local C -- loaded by the first use
local loaded_from
local results = {} -- code -> { name, status, challenge }
local codes = {} -- name -> code
local after_revoked -- codes of rules that stand behind that of revocation

local function open(path)
  local found, library = pcall(ffi.load, path)
  if not found then return nil, library end
  local is_ours, version = pcall(function() return ffi.string(library.subtoken_version()) end)
  if not is_ours then error("subtoken: " .. path .. " is not libsubtoken", 0) end
  if version ~= M._VERSION then
    error("subtoken: " .. path .. " is libsubtoken " .. version .. ", and subtoken.lua is for "
      .. M._VERSION .. ": take both from one installation", 0)
  end
  return library
end

local function candidates()
  local named = os.getenv "SUBTOKEN_LIBRARY" -- in nginx only with `env SUBTOKEN_LIBRARY;`
  if named and named ~= "" then return { named } end
  local list = {}
  -- PREFIX/share/lua/5.1/subtoken.lua and PREFIX/lib/libsubtoken.so.0
  local source = debug.getinfo(1, "S").source
  local here = source:sub(1, 1) == "@" and source:sub(2):match "^(.*/)[^/]*$"
  if here then list[1] = here .. "../../../lib/libsubtoken.so.0" end
  list[#list + 1] = "libsubtoken.so.0"
  return list
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
-- PREFIX that this file is installed under, else where the system finds it. The first use
-- of anything here does it. An error when there is none, or not of our version.
function M.load(path)
  if C then
    if path and path ~= loaded_from then error("subtoken: " .. loaded_from .. " is loaded", 2) end
    return
  end
  local tried = {}
  for _, candidate in ipairs(path and { path } or candidates()) do
    local library, why = open(candidate)
    if library then return use(library, candidate) end
    tried[#tried + 1] = why
  end
  error("subtoken: cannot load libsubtoken: " .. table.concat(tried, "; "), 0)
end

-- ---- buffers, made once ----

-- They are filled, handed to one call of C and read out again without anything between
-- that could run other Lua code, so coroutines cannot meet in them. What holds a pointer to
-- a string is only used while that string is an argument of the function that set it and is
-- in `held`: the collector must not take it, and compiled code may forget an argument.
local claims = ffi.new "subtoken_claims"
local request = ffi.new "subtoken_request"
local needs, needs_room = ffi.new("subtoken_text[?]", 8), 8
local out = ffi.new("char[?]", OUT_SIZE)
local out_len = ffi.new "size_t[1]"
local out_fault = ffi.new "int[1]"
local text_a, text_b, text_c = ffi.new "subtoken_text", ffi.new "subtoken_text",
  ffi.new "subtoken_text"
local held = {}

local function set(text, value, what)
  if value == nil then
    text.data, text.len = nil, 0
    return
  end
  if type(value) ~= "string" then error("subtoken: " .. what .. " is a string", 0) end
  text.data, text.len = value, #value
end

local function cut(slice)
  return ffi.string(claims.text + slice.at, slice.len)
end

local function list(slices, count)
  local values = {}
  for i = 1, count do values[i] = cut(slices[i - 1]) end
  return values
end

-- claims: sub, iat, exp, nbf and iss (nil when absent), permissions, and either urls or
-- every_url = true. That urls are missing opens nothing.
local function read_claims()
  local nbf, iss = tonumber(claims.nbf), cut(claims.iss)
  return {
    sub = cut(claims.sub),
    iat = tonumber(claims.iat),
    exp = tonumber(claims.exp),
    nbf = nbf ~= 0 and nbf or nil,
    iss = iss ~= "" and iss or nil,
    permissions = list(claims.permissions, claims.permission_count),
    every_url = claims.every_url,
    urls = not claims.every_url and list(claims.urls, claims.url_count) or nil,
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

-- ring(text): the signing secrets, from the content of a secrets file; or nil, the name of
-- what is wrong, and the number of the line. Wiped when it is collected; Lua cannot wipe
-- the text.
function M.ring(text)
  M.load()
  local raw = ffi.gc(ffi.new "subtoken_ring", wipe)
  set(text_a, text, "the text of a ring")
  held[1] = text
  local code = C.subtoken_ring_read(raw, text_a, out_len)
  held[1] = nil
  if code ~= codes.ok then return nil, results[code].name, tonumber(out_len[0]) end
  return setmetatable({ raw = raw }, Ring)
end

-- read_ring(path): the same from a file; or nil and a message that names it.
function M.read_ring(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local text = file:read "*a"
  file:close()
  if not text then return nil, path .. ": cannot be read" end
  local ring, result, line = M.ring(text)
  if not ring then return nil, path .. ":" .. line .. ": " .. result end
  return ring
end

local Secret = named "secret"

-- secret(bytes): one secret of 32 to 64 bytes, set up to make MACs; or nil and a name.
function M.secret(bytes)
  M.load()
  if type(bytes) ~= "string" then error("subtoken: a secret is a string", 2) end
  local raw = ffi.gc(ffi.new "subtoken_secret", wipe)
  set(text_a, nil)
  local code = C.subtoken_secret_set(raw, text_a, bytes, #bytes)
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
  local by, why = secret_of(secret)
  if not by then return nil, why end
  if type(data) ~= "string" then error("subtoken: data is a string", 2) end
  local code = C.subtoken_mac_compute(by.raw, data, #data, ffi.cast("uint8_t *", out))
  if code ~= codes.ok then return nil, results[code].name end
  return ffi.string(out, MAC_LEN)
end

-- mac_check(secret, data, mac): is this the MAC of data? In a time that does not depend on
-- where they differ.
function M.mac_check(secret, data, mac)
  local by, why = secret_of(secret)
  if not by then return false, why end
  if type(data) ~= "string" then error("subtoken: data is a string", 2) end
  if type(mac) ~= "string" or #mac ~= MAC_LEN then return false, "mac" end
  local code = C.subtoken_mac_check(by.raw, data, #data, mac)
  return code == codes.ok, results[code].name
end

-- ---- verifying ----

local function seconds(value, what)
  if type(value) ~= "number" or value ~= math.floor(value) or value < 0 or value > TIME_MAX then
    error("subtoken: " .. what .. " is whole seconds, 0 to 2^53-1", 3)
  end
  return value
end

local function clock()
  return ngx and ngx.time and ngx.time() or os.time()
end

-- The claims of the token, or nil; the code of the rule that decided.
local function call(self, token, asked)
  local now = asked.now or clock()
  -- What does not fit an int64_t must not be cut to one that does.
  if type(now) ~= "number" or now ~= math.floor(now) or now < 0 or now > TIME_MAX then now = -1 end
  local wanted = asked.needs
  if wanted ~= nil and type(wanted) ~= "table" then error("subtoken: needs is a table", 0) end
  local count = wanted and #wanted or 0
  if count > needs_room then needs, needs_room = ffi.new("subtoken_text[?]", count), count end
  held[1], held[2], held[3], held[4] = token, asked.method, asked.target, wanted
  for i = 1, count do set(needs[i - 1], wanted[i], "a permission") end
  set(text_a, token, "a token")
  set(request.method, asked.method, "method")
  set(request.target, asked.target, "target")
  request.now, request.needs, request.needs_count = now, needs, count
  return C.subtoken_verify(self.raw, text_a, request, claims)
end

local function let_go()
  held[1], held[2], held[3], held[4] = nil, nil, nil, nil
end

-- code, when the sub is known to be good.
local function ask(self, sub, code)
  local ran, revoked = pcall(self.revoked, sub)
  if not ran then return codes.feed_stale, revoked end
  if revoked == false then return code end
  if revoked == true then return codes.revoked end
  if revoked == nil then return codes.feed_stale end
  return codes.feed_stale, "revoked answers true, false or nil, not a " .. type(revoked)
end

-- `revoked` is asked from here and not by the library: a callback out of C is slow, cannot
-- be called from compiled code, cannot yield and cannot let an error pass. The answer is
-- the library's own. Told without_revocations it applies its rules in the same order.
-- Refused by one that stands before revocation, nobody would have been asked. Refused by
-- one that stands behind it, revocation would have been the answer, if revoked: so the sub
-- is read again (the claims are not given out with a refusal), which is reading the same
-- bytes, by now authenticated, in the same way. The claims are taken out of the buffer
-- before `revoked` is asked: it may yield to another request.
local function decide(self, token, asked)
  local code = call(self, token, asked)
  let_go()
  local got, why
  if code == codes.ok then
    got = read_claims()
    if self.revoked then code, why = ask(self, got.sub, code) end
  elseif self.revoked and after_revoked[code] then
    held[1] = token
    local again = C.subtoken_inspect(text_a, out, OUT_SIZE, claims)
    held[1] = nil
    if again == codes.ok then
      code, why = ask(self, cut(claims.sub), code)
    else
      code = codes.feed_stale
    end
  end
  return code, code == codes.ok and got or nil, why
end

local Verifier = named "verifier"
local methods = {}
Verifier.__index = methods

-- verifier { ring =, leeway = 60, max_life = 365 days, iss =, aud =, and either
--   revoked = function(sub): true when it is revoked, false when it is known to be good,
--     nil when that cannot be known (feed_stale, as is any other answer and an error),
--   or without_revocations = true: accept that deleted parents are not noticed }
local known = {
  ring = true, leeway = true, max_life = true, iss = true, aud = true, revoked = true,
  without_revocations = true,
}

function M.verifier(options)
  if type(options) ~= "table" or getmetatable(options.ring) ~= "ring" then
    error("subtoken: a verifier needs a ring", 2)
  end
  for name in pairs(options) do
    if not known[name] then error("subtoken: no option " .. tostring(name), 2) end
  end
  local revoked, without = options.revoked, options.without_revocations
  if revoked ~= nil and without then
    error("subtoken: either revoked or without_revocations", 2)
  end
  local raw = ffi.new "subtoken_verifier"
  raw.ring = options.ring.raw
  raw.leeway = seconds(options.leeway or 60, "leeway")
  raw.max_life = seconds(options.max_life or 365 * 86400, "max_life")
  set(raw.iss, options.iss, "iss")
  set(raw.aud, options.aud, "aud")
  raw.without_revocations = revoked ~= nil or without == true
  return setmetatable({
    raw = raw,
    revoked = revoked,
    held = { options.ring, options.iss, options.aud }, -- raw points to them
  }, Verifier)
end

-- verifier:verify(token, { now =, method =, target =, needs = { ... } }): a verdict with
--   ok, a boolean;  result, the name of the rule that decided, "expired";
--   status, that of HTTP;  challenge, the value of WWW-Authenticate, or nil;
--   claims, only when ok;  error, what `revoked` raised or did wrong.
-- now is seconds since 1970, else the clock's. Without a target a token that is restricted
-- to urls is refused.
function methods:verify(token, asked)
  local code, got, why = decide(self, token, asked or {})
  local result = results[code]
  return {
    ok = code == codes.ok,
    result = result.name,
    status = result.status,
    challenge = result.challenge,
    claims = got,
    error = why,
  }
end

-- verifier:explain(token, asked, verdict): which rule decided, in words, for people who run
-- an API, never for its callers. Without the verdict, it is asked for first.
function methods:explain(token, asked, verdict)
  asked = asked or {}
  local code
  if verdict then
    code = codes[verdict.result]
  else
    code = decide(self, token, asked)
  end
  call(self, token, asked) -- fills the buffers again; its answer is not used
  local size = C.subtoken_explain(self.raw, text_a, request, code, out, OUT_SIZE)
  let_go()
  return ffi.string(out, size)
end

-- inspect(token): { header =, claims = } without trusting it: no signature, no clock, for
-- display only. Or nil and a name.
function M.inspect(token)
  M.load()
  set(text_a, token, "a token")
  held[1] = token
  local code = C.subtoken_inspect(text_a, out, OUT_SIZE, claims)
  held[1] = nil
  if code ~= codes.ok then return nil, results[code].name end
  return { header = ffi.string(out), claims = read_claims() }
end

-- ---- URLs ----

local function canonical(name, value)
  M.load()
  set(text_a, value, "a URL")
  held[1] = value
  local code = C[name](text_a, out, OUT_SIZE, out_len, out_fault)
  held[1] = nil
  if code ~= codes.ok then return nil, ffi.string(C.subtoken_fault_name(out_fault[0])) end
  return ffi.string(out, out_len[0])
end

-- target_path(target): its canonical path, to route on; or nil and a fault, "dot-segment".
function M.target_path(target)
  return canonical("subtoken_target_path", target)
end

-- url_canonical(entry): its canonical text; or nil and a fault.
function M.url_canonical(entry)
  return canonical("subtoken_url_canonical", entry)
end

local function said(code)
  held[1], held[2], held[3] = nil, nil, nil
  return code == codes.ok, results[code].name
end

-- Each: true or false, and the name of the result.

-- url_allows(entry, target, method): does this entry let them through?
function M.url_allows(entry, target, method)
  M.load()
  set(text_a, entry, "an entry")
  set(text_b, method, "method")
  set(text_c, target, "target")
  held[1], held[2], held[3] = entry, method, target
  return said(C.subtoken_url_allows(text_a, text_b, text_c))
end

-- url_covers(outer, inner): is all that inner lets through let through by outer?
function M.url_covers(outer, inner)
  M.load()
  set(text_a, outer, "an entry")
  set(text_b, inner, "an entry")
  held[1], held[2] = outer, inner
  return said(C.subtoken_url_covers(text_a, text_b))
end

-- url_match(claims, target, method): would these claims let them through? Of the claims
-- only every_url and urls are looked at.
function M.url_match(of, target, method)
  M.load()
  if type(of) ~= "table" then error("subtoken: claims are a table", 2) end
  local urls = of.urls or {}
  local whole = table.concat(urls)
  if #urls > URLS_MAX or #whole > TEXT_MAX then return false, "invalid_argument" end
  ffi.fill(claims, ffi.sizeof(claims))
  claims.every_url = of.every_url == true
  local at = 0
  for i = 1, #urls do
    claims.urls[i - 1].at, claims.urls[i - 1].len = at, #urls[i]
    at = at + #urls[i]
  end
  ffi.copy(claims.text, whole, #whole)
  claims.url_count, claims.text_len = #urls, #whole
  set(text_b, method, "method")
  set(text_c, target, "target")
  held[2], held[3] = method, target
  return said(C.subtoken_url_match(claims, text_b, text_c))
end

return M
