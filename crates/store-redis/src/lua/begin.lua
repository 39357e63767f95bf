-- begin: what every call does first: the run id, the epoch, the time, and one look at `meta`.
--
-- reads:   ARGV[1] run id of the server process, ARGV[2] now in ms or '' to ask the server
-- replies: the errors UNREADY and SCHEMA, before anything is written
-- moves:   nothing

local call, pcall = redis.call, redis.pcall
-- Verbs, one fragment each.
local V = {}
-- What `meta` says, see `V.begin`.
local M
local now_ms

-- Lua writes large numbers with an exponent; nobody else reads those.
local function int(number) return string.format('%.0f', number) end

-- Wall clock in ms.
local function now()
  if not now_ms then
    if ARGV[2] ~= '' then
      now_ms = tonumber(ARGV[2])
    else
      local time = call('TIME')
      now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
    end
  end
  return now_ms
end

-- Fields of `meta` that every call reads.
local FACTS = {
  'schema', 'epoch', 'run', 'lt', 'mt', 'behind', 'keeps', 'cx', 'ex', 'sk', 'sc', 'closed',
  'paused', 'queues_version',
}

-- Reads `meta`, and `more` fields of it, which go to M[1], M[2] and so on. Answers an error, or
-- nothing.
function V.begin(more)
  local names = {}
  for i = 1, #FACTS do names[i] = FACTS[i] end
  for i = 1, #more do names[#FACTS + i] = more[i] end
  local values, known = call('HMGET', META, unpack(names)), {}
  for i = 1, #FACTS do known[FACTS[i]] = values[i] end
  local schema = tonumber(known.schema)
  if not schema then
    return redis.error_reply('-UNREADY the partition has no meta')
  end
  if schema < SCHEMA_MIN or schema > SCHEMA then
    return redis.error_reply('-SCHEMA the partition has schema ' .. known.schema)
  end
  M = {
    epoch = tonumber(known.epoch) or 1,
    lt = tonumber(known.lt) or 0,
    mt = tonumber(known.mt) or 0,
    behind = known.behind == '1',
    keeps = known.keeps or '',
    cx = tonumber(known.cx) or 0,
    ex = tonumber(known.ex) or 0,
    -- When the first schedule comes, if there is one.
    sc = tonumber(known.sc),
    -- Whether tasks here may have a serial key. Once they had, it stays: then who gives a task back
    -- looks at its state.
    sk = known.sk == '1',
    -- Queues that hand out nothing, users whose work is paused, the version of what is set of
    -- queues.
    closed = tonumber(known.closed) or 0,
    paused = tonumber(known.paused) or 0,
    queues_version = tonumber(known.queues_version) or 0,
    -- Fields to set when the call ends.
    set = {},
  }
  M.cx_before, M.ex_before, M.paused_before = M.cx, M.ex, M.paused
  for i = 1, #more do M[i] = values[#FACTS + i] end
  local run = known.run
  if run ~= ARGV[1] then
    -- Another server process than last time: it may have forgotten what the former one answered,
    -- so nothing written from here on may carry a number of that life.
    if run then M.epoch = M.epoch + 1 end
    call('HSET', META, 'run', ARGV[1], 'epoch', int(M.epoch))
  end
end

-- Lease time: that of the last maintenance, and what the wall clock moved since, but never back
-- and never more than LEASE_TIME_STEP_MS_MAX.
local function lease_time()
  local step = now() - M.mt
  if step < 0 then step = 0 end
  if step > LEASE_TIME_STEP_MS_MAX then step = LEASE_TIME_STEP_MS_MAX end
  return M.lt + step
end
