-- subtoken.lua - the action lua.subtoken of HAProxy: it verifies subtokens in the process, with the
-- C module subtoken.so (make haproxy-module). It denies a request, or sets X-Subtoken-* and removes
-- what a caller sent under such a name, and access_token=. What it decides, and what it answers, is
-- the library's (subtoken/edge.h). HAProxy 2.6 gives a file no arguments, so the settings are in the
-- environment; subtoken_edges(7) lists them:
--
--   setenv SUBTOKEN_MODULE "secrets=/etc/subtoken/secrets revocations=... policy=..."
--   lua-prepend-path /usr/lib/haproxy/?.so cpath
--   lua-load-per-thread /etc/haproxy/subtoken.lua
--
-- examples/haproxy-module.cfg is the configuration around it. HAProxy goes on with its rules when an
-- action fails in Lua: the rule behind this one, which denies what has no `pass`, is not optional.
local POLL_MS = 50
local TEXTS = { secrets = true, revocations = true, policy = true, require = true, audience = true, issuer = true }
local TIMES = { max_age = true, leeway = true, max_life = true }
local SIZES = { cache = true, revocations_max = true }
local FLAGS = { trust_group = { on = true, off = false }, ask = { on = true, off = false },
	bodies = { on = true, off = false }, stale = { allow = true, deny = false } }
local UNITS = { [""] = 1, s = 1, m = 60, h = 3600, d = 86400, k = 1024, M = 1024 ^ 2, G = 1024 ^ 3 }

-- The C module by its place: require would also find a file of Lua with this name.
local function load_module()
	local path = assert(package.searchpath("subtoken", package.cpath))
	return assert(package.loadlib(path, "luaopen_subtoken"))()
end

local function number(name, value, units)
	local digits, unit = value:match("^(%d+)(%a?)$")
	if not digits or #digits > 12 or not (unit == "" or units:find(unit, 1, true)) then
		error(("subtoken: %s=%s: must be a number, or one with a unit (%s)"):format(name, value, units), 0)
	end
	local whole = math.tointeger(tonumber(digits) * UNITS[unit])
	if not whole then error(("subtoken: %s=%s: is too large"):format(name, value), 0) end
	return whole
end

local function value_of(name, value)
	if TEXTS[name] then return name, value end
	if TIMES[name] then return name, number(name, value, "smhd") end
	if SIZES[name] then return name, number(name, value, "kMG") end
	if not FLAGS[name] then error(("subtoken: %s: unknown setting"):format(name), 0) end
	local flag = FLAGS[name][value]
	if flag == nil then
		local words = name == "stale" and "deny or allow" or "on or off"
		error(("subtoken: %s=%s: must be %s"):format(name, value, words), 0)
	end
	return name == "stale" and "allow_old" or name, flag
end

local function settings_of(text)
	local settings = {}
	for word in (text or ""):gmatch("%S+") do
		local name, value = word:match("^([%w_]+)=(.*)$")
		if not name then error(("subtoken: %s: must be NAME=VALUE"):format(word), 0) end
		name, value = value_of(name, value)
		if settings[name] ~= nil then error(("subtoken: %s: given twice"):format(name), 0) end
		settings[name] = value
	end
	if not settings.revocations then error("subtoken: revocations: must be a file, or off", 0) end
	if settings.require and settings.ask then
		error("subtoken: require: not with ask=on: of what is asked about, the server's policy alone decides", 0)
	end
	for _, name in ipairs({ "revocations", "policy" }) do
		if settings[name] == "off" then settings[name] = nil end
	end
	return settings
end

local function log(level, text)
	core.log(level, "subtoken: " .. text)
end

-- Each thread has the same to say of the files: the first one does.
local function log_once(level, text)
	if core.thread <= 1 then log(level, text) end
end

-- HAProxy adds no Date to what it answers itself.
local function refuse(txn, status, body, ...)
	local reply = txn:reply({ status = status, body = body })
	local headers = { ... }
	for i = 1, #headers, 2 do
		reply:add_header(headers[i], headers[i + 1])
	end
	reply:add_header("date", os.date("!%a, %d %b %Y %H:%M:%S GMT"))
	txn:done(reply)
end

-- A word of `pass ok EXPIRES SUB TID PERMISSIONS`, which the action has left in a variable.
local function register_word(name, pattern)
	core.register_fetches(name, function(txn)
		return (txn:get_var("txn.subtoken") or ""):match(pattern) or ""
	end)
end

local module = load_module()
module.quick_memory()
collectgarbage("setpause", 400)
local settings = settings_of(os.getenv("SUBTOKEN_MODULE"))
local opened, edge, warning = pcall(module.open, settings)
if not opened then error("subtoken: " .. edge, 0) end
if warning then log_once(core.warning, warning) end

-- For haproxy-subtoken.lua, which asks the server about what is no subtoken.
subtoken_bodies = settings.bodies == true
function subtoken_audience() return edge:audience() end

core.register_action("subtoken", { "http-req" }, edge:action(refuse, log))
core.register_converters("subtoken_decide", edge:converter(log))
register_word("subtoken_result", "^%a+ (%S+)")
register_word("subtoken_sub", "^pass ok %d* (%S+)")
register_word("subtoken_tid", "^pass ok %d* %S+ (%S*)")
register_word("subtoken_permissions", "^pass ok %d* %S+ %S* (%S*)")
core.register_task(function()
	while true do
		if edge:poll(log_once) then core.yield() else core.msleep(POLL_MS) end
	end
end)
