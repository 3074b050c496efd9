-- A request with a key drawn among as many as there are, for wrk: keys.lua COUNT PATH [DRAW OF].
-- The keys are those of key_rows.py. DRAW says how a number below OF is drawn, of which the key is
-- the remainder by COUNT, so that all who are compared draw at the same cost:
--   any     each as often as another (the default, OF being COUNT)
--   zipf    the k-th 1 / k^0.99 times as often as the first, by rejection (W. Hormann, G. Derflinger)
--   each    one after the other, from OF on
local count, path, draw, of, threads = 1, "/", "any", 1, 0
local S = 0.99
local top, bottom, next_one

function setup(thread)
  threads = threads + 1
  thread:set("seed", threads)
end

local function zipf()
  while true do
    local x = (bottom + math.random() * (top - bottom)) ^ (1 / (1 - S))
    local k = math.floor(x + 0.5)
    local area = ((k + 0.5) ^ (1 - S) - (k - 0.5) ^ (1 - S)) / (1 - S)
    if k >= 1 and k <= of and math.random() * area <= k ^ -S then return k - 1 end
  end
end

local function each()
  next_one = next_one + 2 -- of two threads
  return next_one
end

local function any()
  return math.random(0, of - 1)
end

function init(args)
  count, path = tonumber(args[1]), args[2]
  draw, of = args[3] or "any", tonumber(args[4] or args[1])
  math.randomseed(seed * 7919)
  top, bottom, next_one = (of + 0.5) ^ (1 - S), 0.5 ^ (1 - S), of + seed - 3
  draw = draw == "zipf" and zipf or draw == "each" and each or any
end

-- n * 2654435761 in 32 bits, in steps that a double holds.
local function spread(n)
  local high = math.floor(n / 65536) * 2654435761 % 4294967296
  return (high * 65536 + n % 65536 * 2654435761) % 4294967296
end

local function key(n)
  return string.format("%08X-0000-4000-8000-%012d00000000-0000-0000-0000-000000000000", spread(n), n)
end

function request()
  return wrk.format("GET", path, {["Authorization"] = "Bearer " .. key(draw() % count)})
end
