-- haproxy-subtoken.lua - the action lua.subtoken_authorize: ask the decision endpoint whether
-- this request may pass. See examples/haproxy.cfg. Whatever goes wrong is a 503: nothing passes unasked.

local TIMEOUT_MS = 750 -- of each try; HAProxy 2.6 makes four before it gives up: 3 seconds
local IDENTITY = {
	"x-subtoken-sub", "x-subtoken-key", "x-subtoken-owner", "x-subtoken-permissions",
	"x-subtoken-expires",
}
-- What the server reads of a request besides its method and target. Nothing else is passed on:
-- above all no X-Forwarded-Uri that a caller wrote.
local ASKED = { "authorization", "x-api-key", "origin", "access-control-request-method" }
local PASSED_BACK = { "www-authenticate", "retry-after", "access-control-allow-origin" }
local refusals = { [400] = true, [401] = true, [403] = true, [429] = true, [503] = true }
local UNDECIDED =
	'{"text":"it cannot be decided now whether this request may pass; try again later"}'

-- Values as HAProxy numbers them (from 0), as httpclient wants them (from 1).
local function values(list)
	local out, i = {}, 0
	while list[i] do
		out[i + 1] = list[i]
		i = i + 1
	end
	return out
end

-- Whatever a caller sent about subtokens, were it as X_Subtoken_Sub: some APIs take _ for -.
local function delete_identity(txn, given)
	for name in pairs(given) do
		if name:lower():find("subtoken", 1, true) then txn.http:req_del_header(name) end
	end
end

-- What comes behind a change of protocol is asked of nobody. An API that takes `Upgrade: h2c` would
-- read whole requests there, with whatever X-Subtoken-* a caller writes: of all changes only the
-- one to WebSocket is passed on.
local function delete_upgrade(txn, given)
	for _, protocol in ipairs(given["upgrade"] and values(given["upgrade"]) or {}) do
		if protocol:lower() ~= "websocket" then txn.http:req_del_header("upgrade") end
	end
end

-- %XX and + as forms have them: a name that reads access_token is one, however it is written.
local function decoded(name)
	name = name:gsub("+", " ")
	return (name:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The target without access_token=; byte for byte the same when there is none.
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

local function refuse(txn, status, headers, body)
	local reply = txn:reply({ status = status, body = body })
	reply:add_header("content-type", "application/json; charset=utf-8")
	reply:add_header("cache-control", "no-store")
	for name, value in pairs(headers) do
		reply:add_header(name, value)
	end
	txn:done(reply)
end

-- The server's own answers are JSON; HAProxy's 503, when nobody answers, is not.
local function answered(headers)
	local kind = headers["content-type"] and headers["content-type"][0] or ""
	return kind:find("application/json", 1, true) == 1
end

local function ask(method, target, given, address)
	local headers = { ["x-original-uri"] = { target }, ["x-original-method"] = { method } }
	for _, name in ipairs(ASKED) do
		if given[name] then headers[name] = values(given[name]) end
	end
	-- Failed logins are slowed by it, if the server's trusted_proxies names HAProxy's address.
	if address and address ~= "" then headers["x-forwarded-for"] = { address } end
	local client = core.httpclient()
	-- GET, whatever the original method: it has no body, and an answer that has one.
	return client:get({ url = os.getenv("SUBTOKEN_URL") .. "/v2/authorize", headers = headers,
		timeout = TIMEOUT_MS })
end

core.register_action("subtoken_authorize", { "http-req" }, function(txn)
	local given = txn.http:req_get_headers()
	-- The bytes of the request line; `pathq` would leave an absolute form's host out.
	local method, target = txn.sf:method(), txn.sf:pathq()
	delete_identity(txn, given)
	delete_upgrade(txn, given)
	local fine, answer = pcall(ask, method, target, given, txn.sf:src())
	local status = fine and answer and answer.status or 0
	local headers = status ~= 0 and answer.headers or {}
	if status == 200 then
		for _, name in ipairs(IDENTITY) do
			if headers[name] then txn.http:req_set_header(name, headers[name][0]) end
		end
		local passed = without_token(target)
		if passed ~= target then txn.http:req_set_uri(passed) end
	elseif refusals[status] and answered(headers) then
		local back = {}
		for _, name in ipairs(PASSED_BACK) do
			if headers[name] then back[name] = headers[name][0] end
		end
		refuse(txn, status, back, answer.body)
	else -- no connection, no answer in time (a 503 of HAProxy's own), or no sense in it
		refuse(txn, 503, { ["retry-after"] = "5" }, UNDECIDED)
	end
end)
