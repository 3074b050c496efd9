-- haproxy-subtoken.lua - the action lua.subtoken_authorize of HAProxy: it asks the decision
-- endpoint, /v2/authorize, whether a request may pass, and denies it or sets X-Subtoken-*. It
-- reads no policy and verifies nothing itself. Any failure is a 503: nothing passes undecided.
-- examples/haproxy.cfg is the configuration around it. HAProxy goes on with its rules when an action
-- fails in Lua: the rule behind this one, which denies where txn.subtoken has no `pass`, is not
-- optional. In examples/haproxy-module.cfg it is asked about what the module does not verify.

local BODY_MAX = 8192 -- the server reads no longer one
local TIMEOUT_MS = 750 -- of each try; HAProxy 2.6 makes four, so 3 seconds in all
local IDENTITY = {
	"x-subtoken-sub", "x-subtoken-key", "x-subtoken-owner", "x-subtoken-permissions",
	"x-subtoken-expires",
}
-- What the server reads of a request besides its method and target. Nothing else is passed on:
-- in particular no X-Forwarded-Uri that a caller wrote.
local SENT = { "authorization", "x-api-key", "origin", "access-control-request-method", "mcp-method", "mcp-name",
	"mcp-protocol-version", "traceparent" }
local RETURNED = {
	"www-authenticate", "retry-after", "access-control-allow-origin",
	"access-control-expose-headers", "x-content-type-options", "date",
}
local DENIALS = { [400] = true, [401] = true, [403] = true, [429] = true, [503] = true }
local UNDECIDED =
	'{"text":"this cannot be decided now; try again later"}'

local ODD = '{"text":"the request can be read in more than one way"}'

-- The values of a header: HAProxy counts them from 0, its httpclient from 1.
local function values(list)
	local out, i = {}, 0
	while list[i] do
		out[i + 1] = list[i]
		i = i + 1
	end
	return out
end

-- What a caller sent under such a name, X_Subtoken_Sub too: some APIs read _ as -.
local function delete_identity(txn, given)
	for name in pairs(given) do
		if name:lower():find("subtoken", 1, true) then txn.http:req_del_header(name) end
	end
end

-- Whoever takes off what Connection names, as the next hop does, would take off what is set here.
local function delete_connection(txn, given)
	for _, value in ipairs(given["connection"] and values(given["connection"]) or {}) do
		if value:lower():find("subtoken", 1, true) then txn.http:req_del_header("connection") end
	end
end

-- Nobody decides about what follows a change of protocol. An API that accepts `Upgrade: h2c` would
-- read whole requests there, with any X-Subtoken-* that a caller writes. So only the change to
-- WebSocket is passed on.
local function delete_upgrade(txn, given)
	for _, protocol in ipairs(given["upgrade"] and values(given["upgrade"]) or {}) do
		if protocol:lower() ~= "websocket" then txn.http:req_del_header("upgrade") end
	end
end

-- Where the body ends must be the same to whoever gets the request. HAProxy 2.6 passes on a list of codings with empty
-- members, several lines, codings in HTTP/1.0, a length of 2^64, and NUL in a value.
local function is_odd(txn, given)
	local codings = given["transfer-encoding"] and values(given["transfer-encoding"]) or {}
	local lengths = given["content-length"] and values(given["content-length"]) or {}
	if #codings + #lengths > 1 then return true end
	if codings[1] and (codings[1]:lower() ~= "chunked" or txn.sf:req_ver() ~= "1.1") then return true end
	if lengths[1] and (#lengths[1] > 18 or not lengths[1]:match("^%d+$")) then return true end
	for _, list in pairs(given) do
		for _, value in ipairs(values(list)) do
			if value:find("\0", 1, true) then return true end
		end
	end
	return false
end

-- %XX and + decoded as in a form: access_token may be written in many ways.
local function decoded(name)
	name = name:gsub("+", " ")
	return (name:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The target without access_token=; unchanged, byte for byte, if there is none.
local function without_token(target)
	local path, query = target:match("^([^?]*)%?(.*)$")
	if not query then return target end
	local kept, dropped = {}, false
	for piece in (query .. "&"):gmatch("([^&]*)&") do
		if decoded(piece:match("^[^=]*")) == "access_token" then
			dropped = true
		else
			kept[#kept + 1] = piece
		end
	end
	if not dropped then return target end
	if #kept == 0 then return path end
	return path .. "?" .. table.concat(kept, "&")
end

local function deny(txn, status, headers, body)
	local reply = txn:reply({ status = status, body = body })
	reply:add_header("content-type", "application/json; charset=utf-8")
	reply:add_header("cache-control", "no-store")
	for name, each in pairs(headers) do
		for _, value in ipairs(type(each) == "table" and each or { each }) do
			reply:add_header(name, value)
		end
	end
	txn:done(reply)
end

-- As the module writes it (subtoken.lua): `pass ok EXPIRES SUB TID PERMISSIONS`, or `pass ok`. The
-- server tells no TID.
local function verdict(headers)
	local words = {}
	for i, name in ipairs({ "x-subtoken-expires", "x-subtoken-sub", "x-subtoken-permissions" }) do
		words[i] = headers[name] and headers[name][0] or ""
	end
	if words[2] == "" then return "pass ok" end
	return ("pass ok %s %s  %s"):format(words[1], words[2], words[3])
end

-- The server's answers are JSON; HAProxy's own 503, for a server that does not answer, is not.
local function from_server(headers)
	local kind = headers["content-type"] and headers["content-type"][0] or ""
	return kind:find("application/json", 1, true) == 1
end

-- A credential that is bound to another audience is refused. With the module it is the module's;
-- without either the edge has none, and no credential for one is taken.
local function audience()
	if subtoken_audience then return subtoken_audience() end
	return os.getenv("SUBTOKEN_AUDIENCE")
end

-- Does the configuration wait for bodies? Else it would be chance whether HAProxy has one.
local function reads_bodies()
	if subtoken_bodies ~= nil then return subtoken_bodies end
	return os.getenv("SUBTOKEN_BODIES") == "on"
end

-- A body of JSON, as far as the server reads one, for routes that need what it names.
local function body_of(txn, method, given)
	if not reads_bodies() then return nil end
	local kind, length = given["content-type"], given["content-length"]
	if method ~= "POST" or not (kind and kind[0]:lower():find("application/json", 1, true) == 1) then return nil end
	if kind[1] or not length or given["transfer-encoding"] or given["content-encoding"] then return nil end
	local body = txn.sf:req_body()
	if #body == 0 or #body > BODY_MAX or #body ~= tonumber(length[0]) then return nil end
	return body, kind[0]
end

-- kind: of the body, with the charset that the API may decode it by.
local function ask(method, target, given, address, body, kind)
	local headers = { ["x-original-uri"] = { target }, ["x-original-method"] = { method } }
	headers["x-subtoken-audience"] = { audience() or "" } -- empty: a token for one is not taken
	for _, name in ipairs(SENT) do
		if given[name] then headers[name] = values(given[name]) end
	end
	-- Wrong passwords are throttled by it, if the server's trusted_proxies names HAProxy's address.
	if address and address ~= "" then headers["x-forwarded-for"] = { address } end
	local client = core.httpclient()
	local question = { url = os.getenv("SUBTOKEN_URL") .. "/v2/authorize", headers = headers, timeout = TIMEOUT_MS }
	if body then
		headers["content-type"] = { kind }
		question.body = body
		return client:post(question)
	end
	-- GET, whatever the original method: the request has no body, the answer has one.
	return client:get(question)
end

-- HAProxy drops a header for which its buffer has no room, and does not tell Lua.
local function is_told(txn, headers)
	local set = txn.http:req_get_headers()
	for _, name in ipairs(IDENTITY) do
		if headers[name] and not (set[name] and set[name][0] == headers[name][0]) then return false end
	end
	return true
end

core.register_action("subtoken_authorize", { "http-req" }, function(txn)
	local given = txn.http:req_get_headers()
	-- The target as on the request line; of an absolute form, pathq leaves the host out.
	local method, target = txn.sf:method(), txn.sf:pathq()
	-- Nobody decides about what goes through a tunnel.
	if method == "CONNECT" or is_odd(txn, given) then return deny(txn, 400, { connection = "close" }, ODD) end
	delete_identity(txn, given)
	delete_connection(txn, given)
	delete_upgrade(txn, given)
	local read, body, kind = pcall(body_of, txn, method, given)
	local ran, answer = pcall(ask, method, target, given, txn.sf:src(), read and body or nil, kind)
	local status = ran and answer and answer.status or 0
	local headers = status ~= 0 and answer.headers or {}
	if status == 200 then
		for _, name in ipairs(IDENTITY) do
			if headers[name] then txn.http:req_set_header(name, headers[name][0]) end
		end
		if not is_told(txn, headers) then return deny(txn, 503, { ["retry-after"] = "5" }, UNDECIDED) end
		local passed = without_token(target)
		if passed ~= target then txn.http:req_set_uri(passed) end
		txn:set_var("txn.subtoken", verdict(headers))
	elseif DENIALS[status] and from_server(headers) then
		local back = {}
		for _, name in ipairs(RETURNED) do
			if headers[name] then back[name] = values(headers[name]) end
		end
		deny(txn, status, back, answer.body)
	else -- no connection, no answer in time (a 503 of HAProxy's own), or not the server's
		deny(txn, 503, { ["retry-after"] = "5" }, UNDECIDED)
	end
end)
