-- What only the Lua binding promises: run by tests/e2e/test_install.py.
-- usage: binding.lua RING_FILE FAKE_LIBRARY NO_LIBRARY NOW GOOD OTHER FRESH
local subtoken = require "subtoken"
local RING_FILE, FAKE, NONE, NOW, GOOD, OTHER, FRESH = ...
NOW = tonumber(NOW)
local asked = { now = NOW, method = "GET", target = "/v2/account", needs = { "account" } }

local function fails(pattern, ...)
  local ok, why = pcall(...)
  assert(not ok and tostring(why):find(pattern, 1, true), tostring(why))
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
local nothing, why = subtoken.read_ring(RING_FILE .. "-no")
assert(nothing == nil and why:find(RING_FILE, 1, true))
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
assert(result_of { revoked = good } == "ok" and #seen == 1 and seen[1] == "pk_active")
for _, token in ipairs { "", "a.b.c", GOOD:sub(1, -2), GOOD .. "x", "\0", "\255" } do
  assert(result_of({ revoked = good }, token) ~= "ok")
end
assert(#seen == 1) -- nobody is asked about a token that is not ours
fails("needs a ring", subtoken.verifier, { without_revocations = true })
fails("needs a ring", subtoken.verifier, { ring = "k1:AAAA" })
fails("either", subtoken.verifier, { ring = ring, revoked = good, without_revocations = true })
fails("no option revokd", subtoken.verifier, { ring = ring, revokd = good })
fails("leeway", subtoken.verifier, { ring = ring, leeway = -1 })
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
fails("a token is a string", verifier.verify, verifier, 5, asked)
fails("needs is a table", verifier.verify, verifier, GOOD, with { needs = "account" })
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
for _ = 1, 2 do
  for i = 1, 50 do assert(coroutine.resume(order[i])) end
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
print "ok binding.lua"
