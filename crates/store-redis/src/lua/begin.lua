-- begin: what every call does first: the run id, the epoch, the time, and one look at `meta`.
--
-- reads:   ARGV[1] run id of the server process, ARGV[2] now in ms or '' to ask the server
-- replies: the errors UNREADY and SCHEMA, before anything is written
-- moves:   nothing

local call, pcall
-- Verbs, one fragment each.
local V = {}
-- What `meta` says, see `V.begin`.
local M
local now_ms
-- The word that `take` answers next.
local next_arg
-- What a plain call has read of `meta`, and what it has taken, where it leaves the rest to others.
local early, handed

-- Lua writes large numbers with an exponent; nobody else reads those. Spelling and reading them is
-- dear, and a call meets few that differ: it remembers them.
local texts, numbers
-- Small ones never change, and are met in every call.
local SMALL, SMALL_MAX, DIGITS_MAX, NUMBERS = {}, 999, 3, {}
local function int(number)
  local text = SMALL[number] or texts[number]
  if not text then
    text = string.format('%.0f', number)
    local is_small = number >= 0 and number <= SMALL_MAX and number % 1 == 0
    if is_small then SMALL[number] = text else texts[number] = text end
  end
  return text
end
local function read(text)
  local number = NUMBERS[text] or numbers[text]
  if not number and text then
    number = tonumber(text)
    local is_small = #text <= DIGITS_MAX and match(text, '^%d+$')
    if is_small then NUMBERS[text] = number else numbers[text] = number end
  end
  return number
end

each_call(function()
  -- While a library is loaded there is nothing to call yet.
  call, pcall = redis.call, redis.pcall
  M, now_ms, next_arg = nil, nil, 3
  early, handed = nil, nil
  texts, numbers = {}, {}
end)

-- The words of a call in order, from ARGV[3] on.
local function take()
  next_arg = next_arg + 1
  return ARGV[next_arg - 1]
end

-- As many of them at once.
local function take_some(count)
  next_arg = next_arg + count
  return unpack(ARGV, next_arg - count, next_arg - 1)
end

-- Wall clock in ms.
local function now()
  if not now_ms then
    if ARGV[2] ~= '' then
      now_ms = tonumber(ARGV[2])
      texts[now_ms] = ARGV[2]
    else
      local time = call('TIME')
      now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
    end
  end
  return now_ms
end

-- Numbers of things in `meta`, by which a call knows what it need not look for: running tasks whose
-- cancellation was asked, tasks that expire, users whose work is paused, tasks with ties, ends that
-- somebody has yet to be told of, lanes that are looked at again at a time.
local COUNTS = { 'cx', 'ex', 'paused', 'fl', 'ld', 'th' }

-- How many fields of `meta` each call reads, at which places some of them are, and those of COUNTS.
local FACTS, SCHEMA_AT, EPOCH_AT, RUN_AT, LT_AT, MT_AT, BEHIND_AT, KEEPS_AT = 18, 1, 2, 3, 4, 5, 6, 7
local SERIAL_AT, SCHEDULE_AT, CLOSED_AT, VERSION_AT, PRIORITIES_AT = 10, 11, 12, 14, 18
local COUNTED = { 8, 9, 13, 15, 16, 17 }
-- Reads these fields, and `more`.
function V.facts(more)
  return call('HMGET', META, 'schema', 'epoch', 'run', 'lt', 'mt', 'behind', 'keeps', 'cx',
    'ex', 'sk', 'sc', 'closed', 'paused', 'queues_version', 'fl', 'ld', 'th', 'pr', unpack(more))
end

-- Takes `meta`, and `more` fields of it, which go to M[1], M[2] and so on. Answers an error, or
-- nothing.
function V.begin(more)
  local values = early or V.facts(more)
  local schema, epoch, run, lt, mt, behind, keeps, cx, ex, sk, sc, closed, paused, version, fl, ld, th, pr =
    unpack(values, 1, FACTS)
  schema = read(schema)
  if not schema then
    return redis.error_reply('-UNREADY the partition has no meta')
  end
  if schema < SCHEMA_MIN or schema > SCHEMA then
    return redis.error_reply('-SCHEMA the partition has schema ' .. schema)
  end
  cx, ex, paused = read(cx) or 0, read(ex) or 0, read(paused) or 0
  fl, ld, th = read(fl) or 0, read(ld) or 0, read(th) or 0
  M = {
    epoch = read(epoch) or 1,
    lt = read(lt) or 0,
    mt = read(mt) or 0,
    behind = behind == '1',
    keeps = keeps or '',
    -- See COUNTS, and what they were.
    cx = cx, ex = ex, paused = paused, fl = fl, ld = ld, th = th,
    before = { cx = cx, ex = ex, paused = paused, fl = fl, ld = ld, th = th },
    -- When the first schedule comes, if there is one.
    sc = read(sc),
    -- Whether tasks here may have a serial key. Once they had, it stays: then who gives a task back
    -- looks at its state.
    sk = sk == '1',
    -- Queues in which tasks have a priority, or once had, between blanks; '*' are all.
    pr = pr or '',
    -- Queues that hand out nothing, and the version of what is set of queues.
    closed = read(closed) or 0,
    queues_version = read(version) or 0,
    -- Fields to set when the call ends.
    set = {},
  }
  for i = 1, #more do M[i] = values[FACTS + i] end
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
