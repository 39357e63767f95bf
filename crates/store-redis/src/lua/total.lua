-- total: how many tasks of a queue run over all users, where something limits that, and how many of
-- the limit this partition has.
--
-- reads:   meta fields t:<queue> = running, permits, the number they were told under, and what is
--          asked: 1 more if the ends of tasks are to be told, 2 more if not that permits are missing.
--          Nothing after the first where there is no other partition: it has the whole limit.
-- replies: nothing
-- moves:   nothing
--
-- It is counted from the leases when the limit is set, and in the call that gives or takes one since.

-- By queue: what is known, and which queues have been looked at in order.
local totals, order
-- Queues in which a task runs no more, in order.
local freed
each_call(function()
  totals, order, freed = {}, {}, {}
end)

-- Leases looked at with one command.
local LEASES_TOGETHER = 1000
-- What is asked.
local ENDS, QUIET = 1, 2

-- Calls `with` for the user of each lease of a queue.
function V.each_lease(queue, with)
  local at, front = 0, queue .. '|'
  while true do
    local tokens = call('ZRANGE', LEASES, at, at + LEASES_TOGETHER - 1)
    for i = 1, #tokens do
      if string.sub(tokens[i], 1, #front) == front then
        with(string.match(tokens[i], '^[^|]+|([^|]+)|'))
      end
    end
    if #tokens < LEASES_TOGETHER then return end
    at = at + LEASES_TOGETHER
  end
end

local function read_total(queue)
  local text = call('HGET', META, 't:' .. queue) or ''
  local running, n, v, asked = string.match(text .. ',,,,', '^(%d+),(%d*),(%d*),(%d*),')
  if running then
    n, v, asked = tonumber(n), tonumber(v) or 0, tonumber(asked) or 0
    return { now = tonumber(running), n = n, v = v, asked = asked }
  end
  local one = { now = 0, v = 0, asked = 0, touched = true }
  V.each_lease(queue, function() one.now = one.now + 1 end)
  -- Nothing that was said before may reach it any more: numbers rise with the time.
  if call('HGET', META, 'partitions') ~= '1' then one.n, one.v = 0, now() * 1000 end
  return one
end

-- What is known of a queue that has such a limit.
function V.total(queue)
  local one = totals[queue]
  if not one then
    one = read_total(queue)
    one.before = one.now
    totals[queue] = one
    order[#order + 1] = queue
  end
  return one
end

-- How many tasks may start in a queue, whose they are. `set` is what `V.queue` answers.
function V.total_room(queue, set)
  if not (set and set.total) then return math.huge end
  local one = V.total(queue)
  return math.max(0, math.min(one.n or set.total, set.total) - one.now)
end

-- Whether there is room for a task, whose it is.
function V.may_start(queue)
  if M.closed == 0 then return true end
  local set = V.set_of(queue)
  return V.total_room(queue, set) > 0 and V.start_room(queue, set) > 0
end

-- Whether the limit is reached here, whatever other partitions do.
function V.is_at_limit(queue, set)
  return set and set.total and V.total(queue).now >= set.total or false
end

-- More or fewer tasks of a queue run.
function V.count_total(queue, set, by)
  if not (set and set.total) then return end
  local one = V.total(queue)
  one.now, one.touched = math.max(0, one.now + by), true
  if by < 0 and not one.freed then
    one.freed = true
    freed[#freed + 1] = queue
  end
end

-- Queues in which tasks run no more; tells them once.
function V.take_freed()
  local queues = freed
  freed = {}
  for i = 1, #queues do totals[queues[i]].freed = nil end
  return queues
end

-- The limit of a queue was set or taken back.
function V.start_total(queue, is_limited)
  if is_limited then
    V.total(queue)
  else
    totals[queue] = nil
    call('HDEL', META, 't:' .. queue)
  end
end

-- Whether somebody waits here for permits that other partitions may have.
local function is_short(queue)
  local set = V.set_of(queue)
  if not (set and set.total) then return false end
  local one = V.total(queue)
  return one.n ~= nil and V.is_open(set) and one.now < set.total and V.total_room(queue, set) == 0
    and call('EXISTS', N.ring(queue)) == 1
end

-- Queues whose permits should be balanced over the partitions: those of which this call has found out
-- that it is so; and, once in a maintenance, those in which it still is.
function V.uneven(maintained)
  local found, still = {}, {}
  if M.closed == 0 then return found, still end
  for i = 1, #order do
    local one = totals[order[i]]
    if one and one.n then
      local tells = one.asked % 2 == ENDS and one.now < one.before
      if tells or (one.asked < QUIET and is_short(order[i])) then found[#found + 1] = order[i] end
    end
  end
  if maintained then
    for queue in string.gmatch(call('HGET', META, 'queues') or '', '%S+') do
      if is_short(queue) then still[#still + 1] = queue end
    end
  end
  return found, still
end

-- The verb: a partition is told how many permits it has, and under which number. What is older than
-- what it knows it ignores; under the number that it knows it only takes less.
--
-- reads:   queue, permits or '', number, what is asked
-- replies: what it has from now on: running, permits, number, what is asked; nothing where there is no
--          such limit
function V.permits(take)
  local queue, n, v, asked = take(), tonumber(take()), tonumber(take()), tonumber(take())
  local set = V.set_of(queue)
  local one = set and set.total and V.total(queue)
  if not (one and one.n) then return {} end
  if v > one.v then
    one.n, one.v, one.asked = n or one.n, v, asked
  elseif v == one.v then
    one.n, one.asked = math.min(n or one.n, one.n), asked
  end
  one.touched = true
  local room = V.total_room(queue, set)
  if room > 0 and call('EXISTS', N.ring(queue)) == 1 then V.wake(queue, math.min(room, WAKES_MAX)) end
  return { int(one.now), int(one.n), int(one.v), int(one.asked) }
end

-- Writes what has changed.
function V.keep_totals()
  for i = 1, #order do
    local one = totals[order[i]]
    if one and one.touched then
      local has = one.n and ',' .. int(one.n) .. ',' .. int(one.v) .. ',' .. int(one.asked) or ''
      M.set[#M.set + 1] = 't:' .. order[i]
      M.set[#M.set + 1] = int(one.now) .. has
    end
  end
end
