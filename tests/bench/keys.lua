-- A request with a key drawn among as many as there are, for wrk: keys.lua COUNT PATH.
-- The keys are those that keys.py has put into the database.
local count, path, threads = 1, "/", 0

function setup(thread)
  threads = threads + 1
  thread:set("seed", threads)
end

function init(args)
  count, path = tonumber(args[1]), args[2]
  math.randomseed(seed * 7919)
end

local function key(n)
  return string.format("%08X-0000-4000-8000-%012d00000000-0000-0000-0000-000000000000",
                       n * 2654435761 % 4294967296, n)
end

function request()
  return wrk.format("GET", path, {["Authorization"] = "Bearer " .. key(math.random(0, count - 1))})
end
