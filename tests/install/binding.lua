-- What only the Lua binding promises: run by tests/e2e/test_bindings.py.
-- usage: binding.lua RING_FILE FAKE_LIBRARY NO_LIBRARY NOW GOOD OTHER FRESH
local subtoken = require "subtoken"
local RING_FILE, FAKE, NONE, NOW, GOOD, OTHER, FRESH = ...
NOW = tonumber(NOW)
local asked = { now = NOW, method = "GET", target = "/v2/account", needs = { "account" } }

local function fails(pattern, ...)
  local ok, err = pcall(...)
  assert(not ok and tostring(err):find(pattern, 1, true), tostring(err))
end

local function with(changes)
  local copy = {}
  for k, v in pairs(asked) do copy[k] = v end
  for k, v in pairs(changes) do copy[k] = v end
  return copy
end

local function result_of(options, token, request)
  options.ring = options.ring or assert(subtoken.read_ring(RING_FILE))
  local v = subtoken.verifier(options):verify(token or GOOD, request or asked)
  assert(v.ok == (v.result == "ok") and (v.claims ~= nil) == v.ok)
  return v.result, v
end

-- A library of another version, or another library; a fresh copy of the module each.
local path = assert(package.searchpath("subtoken", package.path))
fails("is libsubtoken 9.9.9, and subtoken.lua is for " .. subtoken._VERSION, dofile(path).load, FAKE)
fails("is not libsubtoken", dofile(path).load, NONE)
fails("cannot load libsubtoken: /nowhere.so", dofile(path).load, "/nowhere.so")
local second = dofile(path)
assert(second.url_covers("/v2/*", "/v2/a"))
fails("is loaded", second.load, FAKE)

-- Rings.
local ring = assert(subtoken.read_ring(RING_FILE))
local file = assert(io.open(RING_FILE, "rb"))
local content = file:read "*a"
file:close()
assert(subtoken.ring(content))
local none, result, line = subtoken.ring(content .. "k3:AAAA\n")
assert(none == nil and result == "weak_secret" and line == 4)
local nothing, err = subtoken.read_ring(RING_FILE .. "-no")
assert(nothing == nil and err:find(RING_FILE, 1, true))
local function write(path, text, mode)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
  assert(os.execute(("chmod %s '%s'"):format(mode, path)) == 0)
end
local function refused(pattern, path)
  local no, message = subtoken.read_ring(path)
  assert(no == nil and message:find(path, 1, true) and message:find(pattern, 1, true), message)
end
local made, link, fifo = RING_FILE .. "-made", RING_FILE .. "-link", RING_FILE .. "-fifo"
write(made, content, "0600")
assert(os.execute(("ln -sf '%s' '%s' && rm -f '%s' && mkfifo -m 600 '%s'"):format(made, link, fifo,
  fifo)) == 0)
for _, mode in ipairs { "0400", "0600", "0640", "0440", "0700" } do
  write(made, content, mode)
  assert(subtoken.read_ring(made) and subtoken.read_ring(link))
end
for _, mode in ipairs { "0644", "0604", "0602", "0601", "0620", "0660", "0666" } do
  write(made, content, mode)
  refused("is open to others (mode " .. mode .. ")", made)
  refused("is open to others (mode " .. mode .. ")", link)
end
for _, name in ipairs { fifo, "/", "/dev/zero" } do refused("is not a regular file", name) end
write(made, ("#"):rep(65536), "0600")
refused("too_large", made)
write(made, "", "0600")
refused("no_secret", made)
write(made, content .. "k3:AAAA\n", "0600")
refused(made .. ":4: weak_secret", made)
refused("No such file", RING_FILE .. "-no")
fails("a path must be", subtoken.read_ring, RING_FILE .. "\0x")
fails("a path must be", subtoken.read_ring)
for _ = 1, 2000 do assert(not subtoken.read_ring(fifo) and not subtoken.read_ring(made)) end
assert(tostring(ring) == "subtoken.ring" and tostring(subtoken.verifier { ring = ring })
  == "subtoken.verifier")
for _ = 1, 100 do assert(subtoken.ring(content)) end -- each is wiped when it is collected
collectgarbage()
collectgarbage()

-- It denies.
assert(result_of { without_revocations = true } == "ok")
assert(result_of {} == "feed_stale")
assert(result_of { without_revocations = 1 } == "feed_stale")
local code, verdict = result_of { revoked = function() error "the list is gone" end }
assert(code == "feed_stale" and verdict.error:find "the list is gone" and verdict.status == 503)
code, verdict = result_of({ revoked = function() error {} end }, GOOD, with { target = "/v2/../a" })
assert(code == "feed_stale" and type(verdict.error) == "table")
for _, wrong in ipairs { 0, 1, "", "revoked", {} } do
  code, verdict = result_of { revoked = function() return wrong end }
  assert(code == "feed_stale" and verdict.error)
end
assert(result_of { revoked = function() return nil end } == "feed_stale")
assert(result_of { revoked = function() end } == "feed_stale")
assert(result_of { revoked = function() return true end } == "revoked")
local seen = {}
local function good(sub)
  seen[#seen + 1] = sub
  return false
end
assert(result_of { revoked = good } == "ok" and #seen == 2 and seen[1] == "pk_active")
assert(seen[2] == GOOD:match "%.([^.]+)$":sub(1, 16))
for _, token in ipairs { "", "a.b.c", GOOD:sub(1, -2), GOOD .. "x", "\0", "\255" } do
  assert(result_of({ revoked = good }, token) ~= "ok")
end
assert(#seen == 2) -- nobody is asked about a token that is not ours
fails("needs a ring", subtoken.verifier, { without_revocations = true })
fails("needs a ring", subtoken.verifier, { ring = "k1:AAAA" })
fails("exclude each other", subtoken.verifier, { ring = ring, revoked = good, without_revocations = true })
fails("a verifier has no member revokd", subtoken.verifier, { ring = ring, revokd = good })
fails("a verifier has no member 1", subtoken.verifier, { ring = ring, good })
fails("without a metatable", subtoken.verifier)
fails("without a metatable", subtoken.verifier,
  setmetatable({ ring = ring }, { __index = { revokd = good } }))
-- What is no function would never be asked.
for _, wrong in ipairs { false, true, "good", {} } do
  fails("revoked must be a function", subtoken.verifier, { ring = ring, revoked = wrong })
end
for _, name in ipairs { "iss", "aud" } do
  for _, wrong in ipairs { "", false, 5 } do
    fails("iss", subtoken.verifier, { ring = ring, iss = wrong, without_revocations = true })
    fails("aud", subtoken.verifier, { ring = ring, aud = wrong, without_revocations = true })
  end
end
fails("leeway", subtoken.verifier, { ring = ring, leeway = false })
fails("leeway", subtoken.verifier, { ring = ring, leeway = -1 })
fails("leeway", subtoken.verifier, { ring = ring, leeway = 3601 }) -- C13
fails("leeway", subtoken.verifier, { ring = ring, leeway = "60" })
fails("max_life", subtoken.verifier, { ring = ring, max_life = 2 ^ 53 })

-- Arguments.
for _, now in ipairs { -1, 2 ^ 53, 2 ^ 64, NOW + 0.5, 0 / 0, 1 / 0, tostring(NOW) } do
  assert(result_of({ without_revocations = true }, GOOD, with { now = now }) == "invalid_argument")
end
local verifier = subtoken.verifier { ring = ring, without_revocations = true }
assert(verifier:verify(nil, asked).result == "invalid_argument")
assert(verifier:verify(FRESH, { target = "/v2/account" }).ok) -- by the clock
assert(verifier:verify(GOOD, { target = "/v2/account" }).result == "expired")
assert(verifier:verify(GOOD, { now = NOW }).result == "url")
fails("a token must be a string", verifier.verify, verifier, 5, asked)
-- A mistake in a request never makes it ask for less. (GOOD has no permission "bank".)
assert(verifier:verify(GOOD, with { needs = { "bank" } }).result == "perm")
local nothing_at_all
local proxy = setmetatable({}, { __index = { "bank" }, __len = function() return 1 end })
local holed = { "account" }
holed[3] = "bank"
for _, wrong in ipairs { "account", false, 0, true, { bank = true }, { perm = "bank" }, holed,
    { [1] = "account", [3] = "bank" }, { nothing_at_all, "bank" }, { [0] = "bank" }, { "account", 5 },
    { "account", false }, { { "bank" } }, { "account", n = 1 }, { [1.5] = "bank" }, proxy,
    setmetatable({ "account" }, {}) } do
  fails("needs must be a ", verifier.verify, verifier, GOOD, with { needs = wrong })
  fails("needs must be a ", verifier.explain, verifier, GOOD, with { needs = wrong })
end
for _, name in ipairs { "need", "url", "Target", "permissions", 1 } do
  fails("the request has no member " .. name, verifier.verify, verifier, GOOD, with { [name] = "/v2/../x" })
  fails("the request has no member " .. name, verifier.explain, verifier, GOOD, with { [name] = "bank" })
end
for _, wrong in ipairs { false, "bank", 5, setmetatable({}, { __index = { need = { "bank" } } }) } do
  fails("the request must be a table", verifier.verify, verifier, FRESH, wrong)
end
fails("the request must be a table", verifier.verify, verifier, FRESH, nothing_at_all)
for _, name in ipairs { "method", "target" } do
  for _, wrong in ipairs { false, 5, {} } do
    fails(name .. " must be a string", verifier.verify, verifier, GOOD, with { [name] = wrong })
  end
end
fails("verifier:verify", verifier.verify, GOOD, asked)
fails("verifier:verify", verifier.verify, nil, GOOD, asked)
for _, mistake in ipairs { -- it is said where
  function() local _ = verifier:verify(GOOD, { need = {} }) end,
  function() local _ = verifier:explain(GOOD, { need = {} }) end,
  function() local _ = verifier:explain(GOOD, { need = {} }, { result = "ok" }) end,
  function() local _ = verifier:verify(5, asked) end,
  function() local _ = verifier:verify(GOOD, { needs = { 5 } }) end,
  function() local _ = subtoken.verifier { rings = ring } end,
  function() local _ = subtoken.verifier { ring = ring, leeway = 0.5 } end,
  function() local _ = subtoken.url_allows(5, "/") end,
  function() local _ = subtoken.target_path(5) end,
} do
  fails("binding.lua:", mistake)
end
assert(verifier:explain(GOOD, asked, verifier:verify(GOOD, asked)) == verifier:explain(GOOD, asked))
for _, wrong in ipairs { false, {}, { result = "nonsense" }, "ok" } do
  fails("a verdict", verifier.explain, verifier, GOOD, asked, wrong)
end
fails("claims has no member url", subtoken.url_match, { url = { "/v2/a" } }, "/v2/a")
fails("urls must be a list", subtoken.url_match, { urls = { [1] = "/v2/a", [3] = "/v2/b" } }, "/v2/a")
fails("urls must be a list", subtoken.url_match, { urls = { "/v2/a", 5 } }, "/v2/a")
fails("urls must be a list", subtoken.url_match, { urls = "/v2/a" }, "/v2/a")
fails("exclude each other", subtoken.url_match, { every_url = true, urls = { "/v2/a" } }, "/v2/b")
fails("every_url", subtoken.url_match, { every_url = 1 }, "/v2/b")
fails("claims must be a table", subtoken.url_match, nil, "/v2/b")
fails("target must be a string", subtoken.url_match, { urls = { "/v2/a" } }, 5)
local many = {}
for i = 1, 100 do many[i] = "account" end
assert(verifier:verify(GOOD, with { needs = many }).ok)
many[100] = "bank"
assert(verifier:verify(GOOD, with { needs = many }).result == "perm")
assert(verifier:verify(GOOD, asked).ok)
assert(not subtoken.url_match({}, "/v2/a") and not subtoken.url_match({ urls = {} }, "/v2/a"))
assert(subtoken.url_match({ every_url = true }, "/v2/a"))
assert(subtoken.url_match(verifier:verify(GOOD, asked).claims, "/v2/account"))
assert(subtoken.target_path "/v2/%61?x" == "/v2/a")
local key = ("0123456789abcdef"):rep(2) .. "x"
local secret = assert(subtoken.secret(key))
local mac = assert(subtoken.mac(secret, "a\0b"))
assert(#mac == 32 and mac == subtoken.mac(key, "a\0b"))
assert(subtoken.mac_check(secret, "a\0b", mac) and not subtoken.mac_check(key, "a\0c", mac))
assert(not subtoken.mac_check(secret, "a\0b", mac:sub(1, 31)))
assert(subtoken.mac("short", "") == nil)

-- Coroutines that meet inside `revoked`: each gets its own answer.
local yielding = subtoken.verifier {
  ring = ring,
  revoked = function(sub)
    coroutine.yield()
    return sub == "pk_other"
  end,
}
local done, order = {}, {}
for i = 1, 50 do
  order[i] = coroutine.create(function()
    local v = yielding:verify(i % 2 == 0 and GOOD or OTHER, asked)
    done[i] = v.result == (i % 2 == 0 and "ok" or "revoked")
      and (v.claims == nil or v.claims.sub == "pk_active")
  end)
end
for round = 1, 3 do -- a sub that is revoked is the only name that is asked about
  for i = 1, 50 do assert(coroutine.resume(order[i]) == (i % 2 == 0 or round < 3)) end
end
for i = 1, 50 do assert(done[i]) end

-- Hot enough to be compiled, with a collector that is in a hurry.
collectgarbage("setpause", 50)
collectgarbage("setstepmul", 1000)
local asking = subtoken.verifier { ring = ring, revoked = function(s) return s == "pk_other" end }
for i = 1, 30000 do
  local target = "/v2/account?" .. i
  local v = asking:verify(i % 3 == 0 and OTHER or GOOD,
    { now = NOW, method = "GET", target = target, needs = { "acc" .. "ount" } })
  assert(v.result == (i % 3 == 0 and "revoked" or "ok"))
end

-- Finalizers that call in between any two lines of a call: each has its own answer.
collectgarbage("setpause", 100)
collectgarbage("setstepmul", 200)
local running, finalized, mixed = true, 0, 0
local hot = subtoken.verifier { ring = ring, without_revocations = true }
local function leave_one()
  getmetatable(newproxy(true)).__gc = function()
    if not running then return end
    finalized = finalized + 1
    local v = hot:verify(GOOD, { now = NOW, target = "/v2/account", needs = { "account" } })
    if not v.ok or v.claims.sub ~= "pk_active" then mixed = mixed + 1 end
    if subtoken.target_path "/v2/gc" ~= "/v2/gc" then mixed = mixed + 1 end
    leave_one()
  end
end
for _ = 1, 20 do leave_one() end
local forged = GOOD:sub(1, -6) .. (GOOD:sub(-5, -5) == "A" and "B" or "A") .. GOOD:sub(-4)
local bank = { now = NOW, method = "GET", target = "/v2/account", needs = { "account", "bank" } }
local known, another = assert(subtoken.secret(key)), subtoken.mac(key, "x")
for i = 1, 4000 do
  assert(hot:verify(forged, asked).result == "mac")
  assert(hot:verify(GOOD, bank).result == "perm")
  local v = hot:verify(OTHER, asked)
  assert(v.ok and v.claims.sub == "pk_other" and #v.claims.permissions > 0)
  assert(subtoken.inspect(OTHER).claims.sub == "pk_other")
  assert(subtoken.target_path("/v2/" .. i) == "/v2/" .. i)
  assert(not subtoken.url_match({ urls = { "/v2/account" } }, "/v2/bank", "GET"))
  assert(not subtoken.url_allows("/v2/account", "/v2/bank"))
  assert(not subtoken.url_covers("/v2/account", "/v2/bank"))
  if i % 8 == 0 then
    assert(subtoken.mac(known, "x") == another)
    assert(hot:explain(OTHER, bank):find("bank", 1, true))
  end
end
running = false
assert(finalized > 1000 and mixed == 0, mixed)
print "ok binding.lua"
