-- hand: in which time tasks of a queue start over all users, where something limits that: the arithmetic
-- of `gcra.rs` of core in the only partition; in one of several what it was granted, as a `Hand` in
-- `starts.rs`.
--
-- reads:   meta fields r:<queue> = in the only partition the lease time in microseconds at which all that
--          started is made up for; in one of several how many have started, the mark up to which they may,
--          the number it was told under, what is asked (1 more if starts are to be told, 2 more if not that
--          nothing is left, 4 more if it was never told), and where the mark is for a time to come, how far
--          before, and that lease time; throttled, `queue` by lease time
-- replies: nothing
-- moves:   nothing

-- By queue: what is known, and which queues have been looked at in order.
local hands, order
each_call(function() hands, order = {}, {} end)

-- What is asked.
local ENDS, QUIET, UNTOLD = 1, 2, 4

local function read_hand(queue)
  local text = call('HGET', META, 'r:' .. queue)
  local started, n, v, asked, before, at =
    string.match((text or '') .. ',,', '^(%d+),(%d+),(%d+),(%d+),(%d*),(%d*),')
  if started then
    return {
      started = tonumber(started), n = tonumber(n), v = tonumber(v), asked = tonumber(asked),
      limit = tonumber(before), at = tonumber(at),
    }
  end
  if call('HGET', META, 'partitions') == '1' then
    local full = tonumber(text)
    return { full = full or 0, touched = text and not full }
  end
  -- Nothing that was said before may reach it any more: numbers rise with the time.
  return { started = 0, n = 0, v = now() * 1000, asked = UNTOLD, touched = true }
end

-- What is known of a queue that has such a limit.
function V.hand_of(queue)
  local one = hands[queue]
  if not one then
    one = read_hand(queue)
    one.before = one.started
    hands[queue] = one
    order[#order + 1] = queue
  end
  return one
end

-- Up to which start it may go now.
local function limit_of(one)
  if one.at and lease_time() < one.at then return math.min(one.limit or 0, one.n) end
  return one.n
end

-- How many tasks may start in a queue, whose they are. `set` is what `V.queue` answers.
function V.start_room(queue, set)
  local rate = set and set.rate_total
  if not rate then return math.huge end
  local one = V.hand_of(queue)
  if one.full then return V.allowed(rate, one.full) end
  return math.max(0, limit_of(one) - one.started)
end

-- A task of a queue starts.
function V.count_start(queue, set)
  local rate = set and set.rate_total
  if not rate then return end
  local one = V.hand_of(queue)
  one.touched = true
  if one.full then
    one.full = V.made_up_at(rate, one.full) + rate.emission
  else
    one.started = one.started + 1
  end
end

-- The lease time at which the next task may start that may not now, where that is known.
local function good_start(one, rate)
  if one.full then return V.good_at(rate, one.full) end
  return one.at and lease_time() < one.at and one.n > one.started and one.at or nil
end

-- A queue with work is looked at again when the next task may start, where it may not now.
local function rest(queue)
  local set = V.set_of(queue)
  if not (set and set.rate_total) or V.start_room(queue, set) > 0 then return end
  if call('EXISTS', N.ring(queue)) == 0 then return end
  local one = V.hand_of(queue)
  if one.full then
    -- What was kept may be of another rate: from now on it is of this one.
    one.full, one.touched = V.made_up_at(set.rate_total, one.full), true
  end
  local at = good_start(one, set.rate_total)
  if at then M.th = M.th + call('ZADD', THROTTLED, int(at), queue) end
end

-- So are those of a claim, and those for which the worker was woken: a count and queues, from ARGV[at] on.
function V.rest(queues, at)
  if M.closed == 0 then return end
  for i = 1, #queues do rest(queues[i]) end
  for i = at + 1, at + tonumber(ARGV[at]) do rest(ARGV[i]) end
end

-- The time of a queue has come.
function V.go_on(queue)
  if V.start_room(queue, V.set_of(queue)) > 0 then V.add_roomy(queue) else rest(queue) end
end

-- Whether somebody looks at a queue when it is time, which is not yet.
function V.is_resting(queue)
  if M.closed == 0 or M.th <= 0 then return false end
  local set = V.set_of(queue)
  local at = set and set.rated and call('ZSCORE', THROTTLED, queue)
  return at and tonumber(at) > lease_time() or false
end

-- The rate over all users was set, changed or taken back: then there is none. What was granted by the
-- former one is gone; what has started by it counts by it, for a burst of this one at most.
function V.change_rate_total(queue, rate)
  M.th = M.th - call('ZREM', THROTTLED, queue)
  if not rate then
    hands[queue] = nil
    call('HDEL', META, 'r:' .. queue)
    return
  end
  local one = V.hand_of(queue)
  if one.full then
    one.full = V.made_up_at(rate, one.full)
  else
    one.n, one.limit, one.at = math.min(one.n, one.started), nil, nil
  end
  one.touched = true
end

-- Whether other partitions share the rate.
function V.shares_rate(queue) return not V.hand_of(queue).full end

-- Whether somebody waits here for starts, and none is in the hand.
local function is_out(queue)
  local set = V.set_of(queue)
  if not (set and set.rate_total) then return false end
  local one = V.hand_of(queue)
  return not one.full and one.n <= one.started and V.is_open(set) and V.total_room(queue, set) > 0
    and call('EXISTS', N.ring(queue)) == 1
end

-- Queues whose starts should be shared out again: those of which this call has found out that it is so;
-- and, once in a maintenance, those in which it still is.
function V.uneven_hands(maintained)
  local found, still = {}, {}
  if M.closed == 0 then return found, still end
  for i = 1, #order do
    local one = hands[order[i]]
    if one and not one.full then
      local tells = one.asked % 2 == ENDS and one.started > one.before
      if tells or (one.asked % UNTOLD < QUIET and is_out(order[i])) then found[#found + 1] = order[i] end
    end
  end
  if maintained then
    for queue in string.gmatch(call('HGET', META, 'queues') or '', '%S+') do
      if is_out(queue) then still[#still + 1] = queue end
    end
  end
  return found, still
end

-- The verb: a partition is told up to which start it may go, and under which number. What is older than
-- what it knows it ignores; under the number that it knows it only takes less.
--
-- reads:   queue, mark or '', number, in how many ms what is more may start, what is asked
-- replies: what it has from now on: started, mark, number, what is asked; nothing where there is no such
--          limit
function V.hand(take)
  local queue, n, v, in_ms, asked = take(), tonumber(take()), tonumber(take()), tonumber(take()), tonumber(take())
  local set = V.set_of(queue)
  local one = set and set.rate_total and V.hand_of(queue)
  if not one or one.full then return {} end
  if v == one.v then
    one.n, one.asked = math.min(n or one.n, one.n), asked
  elseif v > one.v then
    local limit = limit_of(one)
    if n and in_ms > 0 then
      one.limit, one.at = math.min(limit, n), lease_time() + in_ms
    else
      one.limit, one.at = nil, nil
    end
    one.n, one.v, one.asked = n or limit, v, asked
  end
  one.touched = true
  local room = math.min(V.start_room(queue, set), V.total_room(queue, set))
  -- Who is woken for a time to come learns when that is.
  if (room > 0 or good_start(one)) and call('EXISTS', N.ring(queue)) == 1 then
    M.th = M.th - call('ZREM', THROTTLED, queue)
    V.wake(queue, math.max(1, math.min(room, WAKES_MAX)))
  end
  return { int(one.started), int(one.n), int(one.v), int(one.asked) }
end

-- Writes what has changed.
function V.keep_hands()
  for i = 1, #order do
    local one = hands[order[i]]
    if one and one.touched then
      local text
      if one.full then
        text = int(one.full)
      else
        text = int(one.started) .. ',' .. int(one.n) .. ',' .. int(one.v) .. ',' .. int(one.asked)
        if one.at then text = text .. ',' .. int(one.limit or 0) .. ',' .. int(one.at) else text = text .. ',,' end
      end
      M.set[#M.set + 1] = 'r:' .. order[i]
      M.set[#M.set + 1] = text
      one.touched = nil
    end
  end
end
