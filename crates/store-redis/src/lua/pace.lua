-- pace: in which time tasks of a user start in a queue, where something limits that: the arithmetic
-- of `gcra.rs` of core. And when lanes are looked at again.
--
-- reads:   pace:<queue>, by user the lease time in microseconds at which all that started is made up
--          for; throttled, `queue,user` by lease time, and `queue`, see hand; meta field th, how many
--          those are
-- replies: nothing
-- moves:   nothing
--
-- What started counts in the same call: it is read once, and written when the call ends.

-- By queue: users in order, and what is known of each, { full, before }.
local paces, order
each_call(function() paces, order = {}, {} end)

local function paces_of(queue)
  if not paces[queue] then
    paces[queue] = { users = {}, of = {} }
    order[#order + 1] = queue
  end
  return paces[queue]
end

-- What has started of each of these users in a queue that is paced.
function V.paces(queue, users)
  local known, unread, list = paces_of(queue), {}, {}
  for i = 1, #users do
    if not known.of[users[i]] then unread[#unread + 1] = users[i] end
  end
  if #unread > 0 then
    local values = call('HMGET', N.pace(queue), unpack(unread))
    for i = 1, #unread do
      local full = tonumber(values[i]) or 0
      known.of[unread[i]] = { full = full, before = full }
      known.users[#known.users + 1] = unread[i]
    end
  end
  for i = 1, #users do list[i] = known.of[users[i]] end
  return list
end

-- A rate as it is set: what one task takes in microseconds, and how far ahead one may be.
function V.rate(tasks, per_ms, burst)
  tasks, per_ms, burst = tonumber(tasks), tonumber(per_ms), tonumber(burst)
  if not (tasks and per_ms and burst) then return nil end
  local emission = math.ceil(per_ms * 1000 / tasks)
  return { emission = emission, tolerance = emission * (burst - 1), text = tasks .. ',' .. per_ms .. ',' .. burst }
end

-- When all that has started is made up for, as it counts now.
function V.made_up_at(rate, full)
  local now_us = lease_time() * 1000
  return math.min(math.max(full, now_us), now_us + rate.tolerance + rate.emission)
end

-- How many may start now by who has made up for all at `full`.
function V.allowed(rate, full)
  local left = rate.tolerance - (V.made_up_at(rate, full) - lease_time() * 1000)
  if left < 0 then return 0 end
  return math.floor(left / rate.emission) + 1
end

-- The first lease time in ms at which one may start.
function V.good_at(rate, full)
  return math.max(lease_time(), math.ceil((V.made_up_at(rate, full) - rate.tolerance) / 1000))
end

-- A task of a user starts. What has started of them has been read, by whoever looked at their rate.
function V.starts(queue, user)
  local one = paces[queue] and paces[queue].of[user]
  if one and one.rate then one.full = V.made_up_at(one.rate, one.full) + one.rate.emission end
end

-- Looks at lanes again that were set aside, at their times: users, and { user = lease time }.
function V.look_again(queue, users, at)
  if #users == 0 then return end
  local words = {}
  for i = 1, #users do
    words[#words + 1] = int(at[users[i]])
    words[#words + 1] = queue .. ',' .. users[i]
  end
  M.th = M.th + call('ZADD', THROTTLED, unpack(words))
end

-- Looks at the lanes whose time has come.
function V.let_through()
  if M.th <= 0 then return end
  local due = call('ZRANGE', THROTTLED, '-inf', int(lease_time()), 'BYSCORE', 'LIMIT', 0, THROTTLED_MAX)
  if #due == 0 then return end
  M.th = M.th - call('ZREM', THROTTLED, unpack(due))
  local by_queue, queues, rested = {}, {}, {}
  for i = 1, #due do
    local queue, user = string.match(due[i], '^([^,]+),([^,]+)')
    if queue then
      if not by_queue[queue] then
        by_queue[queue] = {}
        queues[#queues + 1] = queue
      end
      table.insert(by_queue[queue], user)
    else
      rested[#rested + 1] = due[i]
    end
  end
  for i = 1, #queues do V.readmit(queues[i], by_queue[queues[i]]) end
  for i = 1, #rested do V.go_on(rested[i]) end
end

-- Nothing of a user has started any more, and nobody looks again.
function V.forget_pace(queue, user)
  if V.is_paced(V.set_of(queue)) then
    V.paces(queue, { user })[1].full = 0
  end
  if M.th > 0 then M.th = M.th - call('ZREM', THROTTLED, queue .. ',' .. user) end
end

-- Forgets what has started in a queue where nothing limits that any more.
function V.drop_pace(queue)
  call('UNLINK', N.pace(queue))
  paces[queue] = nil
end

-- Writes what has changed.
function V.keep_paces()
  for i = 1, #order do
    local queue = order[i]
    local known, set, gone = paces[queue], {}, {}
    for j = 1, known and #known.users or 0 do
      local user = known.users[j]
      local one = known.of[user]
      if one.full ~= one.before then
        if one.full > 0 then
          set[#set + 1] = user
          set[#set + 1] = int(one.full)
        else
          gone[#gone + 1] = user
        end
      end
    end
    if #set > 0 then call('HSET', N.pace(queue), unpack(set)) end
    if #gone > 0 then call('HDEL', N.pace(queue), unpack(gone)) end
  end
end
