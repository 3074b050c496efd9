-- verdicts.c over the Lua binding: the same questions, the same answers. And `layout STRUCT
-- FIELD`, in the struct's mirror -> its size, the field's offset and size.
local ffi = require "ffi"
local subtoken = require "subtoken"

local subs, ring, verifier = {}, nil, nil

local function text(field)
  if field == "-" then return nil end
  return (field:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function texts(field)
  if field == "-" then return nil end
  local list = {}
  for item in field:gmatch "([^,]*)," do list[#list + 1] = text(item) end
  return list
end

local function hex(value)
  if value == nil then return "-" end
  return (value:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function listed(values)
  if values == nil then return "-" end
  local list = {}
  for i, value in ipairs(values) do list[i] = hex(value) .. "," end
  return table.concat(list)
end

local function claims_of(c)
  if c == nil then return "-" end
  assert(c.every_url == (c.urls == nil))
  return ("%s;%d;%d;%d;%s;%s;%s;%s;%s;%s;%s"):format(hex(c.sub), c.iat, c.exp, c.nbf or 0,
    hex(c.iss), listed(c.permissions), listed(c.urls), hex(c.sid), listed(c.aud),
    listed(c.via or {}), hex(c.tid))
end

-- The names of the tests are no tids but where they mean one.
local function revoked(name)
  local state = subs[name] or (#name == 16 and "good" or "revoked")
  if state == "raise" then error "no list" end
  if state == "good" then return false end
  if state == "revoked" then return true end
  return nil
end

local function asked(now, method, target, needs)
  return { now = tonumber(now), method = text(method), target = text(target), needs = texts(needs) }
end

local function canonical(value, fault, refusal)
  if value then return { "ok", hex(value), "none" } end
  return { refusal, "-", fault }
end

local verbs = {}

function verbs.version()
  subtoken.load()
  return { subtoken._VERSION } -- it would not have loaded another
end

function verbs.ring(content)
  local made, result, line = subtoken.ring(text(content))
  ring = made or ring
  if made then return { "ok", 0 } end
  return { result, line }
end

function verbs.verifier(leeway, max_life, iss, aud, mode)
  verifier = subtoken.verifier {
    ring = ring, leeway = tonumber(leeway), max_life = tonumber(max_life), iss = text(iss),
    aud = text(aud), revoked = mode == "asks" and revoked or nil,
    without_revocations = mode == "without",
  }
  return { "ok" }
end

function verbs.sub(sub, state)
  subs[text(sub)] = state
  return { "ok" }
end

function verbs.verify(now, method, target, needs, token)
  local v = verifier:verify(text(token), asked(now, method, target, needs))
  assert(v.ok == (v.result == "ok") and v.ok == (v.claims ~= nil))
  return { v.result, v.status, hex(v.challenge), claims_of(v.claims) }
end

function verbs.explain(now, method, target, needs, token)
  return { hex(verifier:explain(text(token), asked(now, method, target, needs))) }
end

function verbs.inspect(token)
  local seen, result = subtoken.inspect(text(token))
  if not seen then return { result, "-", "-" } end
  return { "ok", hex(seen.header), claims_of(seen.claims) }
end

function verbs.match(urls, method, target)
  local of = { every_url = urls == "-", urls = texts(urls) }
  local ok, result = subtoken.url_match(of, text(target), text(method))
  assert(ok == (result == "ok"))
  return { result }
end

function verbs.allows(entry, method, target)
  local ok, result = subtoken.url_allows(text(entry), text(target), text(method))
  assert(ok == (result == "ok"))
  return { result }
end

function verbs.covers(outer, inner)
  local ok, result = subtoken.url_covers(text(outer), text(inner))
  assert(ok == (result == "ok"))
  return { result }
end

function verbs.canonical(entry)
  local value, fault = subtoken.url_canonical(text(entry))
  return canonical(value, fault, "bad_url")
end

function verbs.path(target)
  local value, fault = subtoken.target_path(text(target))
  return canonical(value, fault, "bad_target")
end

function verbs.mac(secret, data)
  local mac, result = subtoken.mac(text(secret), text(data))
  return { mac and "ok" or result, hex(mac) }
end

function verbs.check(secret, data, mac)
  local ok, result = subtoken.mac_check(text(secret), text(data), text(mac))
  assert(ok == (result == "ok"))
  return { result }
end

-- The sizes of members that Lua reads as its own numbers show in what -1 becomes.
local small = { [255] = 1, [65535] = 2, [true] = 1 }

function verbs.layout(struct, field)
  local one = ffi.new(struct)
  local size
  if type(one[field]) == "cdata" then
    size = ffi.sizeof(one[field])
  else
    one[field] = -1
    size = small[one[field]]
  end
  return { ffi.sizeof(struct), ffi.offsetof(struct, field), size }
end

for line in io.lines() do
  local fields = {}
  for field in (line .. "\t"):gmatch "([^\t]*)\t" do fields[#fields + 1] = field end
  local answer = verbs[fields[1]](unpack(fields, 2))
  for i, value in ipairs(answer) do answer[i] = tostring(value) end
  io.write(table.concat(answer, "\t"), "\n")
  io.flush()
end
